//! The applied position of the log, as the state file holds it.

use bytes::Bytes;
use ferretcd_backend::{Batch, Bucket, View};
use ferretcd_base::LogPosition;

use crate::OpenError;

const INDEX: &[u8] = b"consistent_index";
const TERM: &[u8] = b"term";
const CONF_STATE: &[u8] = b"confState";

/// The position of the last applied entry and the configuration of the group at it. Stored in the same
/// transaction as the effects of that entry, so that they are never seen one without the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The place of the entry; zero when nothing was applied.
    pub position: LogPosition,
    /// etcd's JSON form of the voters and learners; empty when there was no configuration yet.
    pub conf_state: Bytes,
}

impl Applied {
    /// Reads what [`Self::store`] wrote.
    pub(crate) fn read(view: &View) -> Result<Self, OpenError> {
        let number = |key: &[u8]| match view.get(Bucket::Meta, key)? {
            None => Ok(0),
            Some(value) => value[..].try_into().map(u64::from_be_bytes).map_err(|_| OpenError::Corrupt {
                bucket: Bucket::Meta.name(),
                row: key.escape_ascii().to_string(),
            }),
        };
        Ok(Self {
            position: LogPosition { index: number(INDEX)?, term: number(TERM)? },
            conf_state: view.get(Bucket::Meta, CONF_STATE)?.unwrap_or_default(),
        })
    }

    /// Adds the rows that remember the position. Numbers that are zero are never stored.
    pub fn store(&self, batch: &mut Batch) {
        let LogPosition { index, term } = self.position;
        if index != 0 {
            batch.put(Bucket::Meta, INDEX, Bytes::copy_from_slice(&index.to_be_bytes()));
        }
        if term != 0 {
            batch.put(Bucket::Meta, TERM, Bytes::copy_from_slice(&term.to_be_bytes()));
        }
        if !self.conf_state.is_empty() {
            batch.put(Bucket::Meta, CONF_STATE, self.conf_state.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_backend::Backend;

    use super::*;

    #[test]
    fn the_position_survives() {
        let backend = Backend::in_memory();
        assert_eq!(Applied::read(&backend.view()).expect("empty"), Applied::default());
        let applied = Applied {
            position: LogPosition::new(7, 2),
            conf_state: r#"{"voters":[1],"auto_leave":false}"#.into(),
        };
        let mut batch = Batch::default();
        applied.store(&mut batch);
        backend.commit(&batch).expect("memory");
        assert_eq!(Applied::read(&backend.view()).expect("own rows"), applied);
    }

    #[test]
    fn a_broken_row_is_named() {
        let backend = Backend::in_memory();
        let mut batch = Batch::default();
        batch.put(Bucket::Meta, INDEX, "short");
        backend.commit(&batch).expect("memory");
        let error = Applied::read(&backend.view()).expect_err("broken").to_string();
        assert!(error.contains("consistent_index"), "{error}");
    }
}
