//! The changes of a stretch, encoded with and without previous values.

use bytes::Bytes;
use ferretcd_mvcc::Change;

use crate::Events;
use crate::events::Encoded;
use crate::groups::{Group, Groups, Pick};

pub(crate) struct EncodedChanges {
    plain: Encoded,
    with_previous: Encoded,
}

impl EncodedChanges {
    /// Encodes what was picked, each change at most once in each form. `previous` finds the previous row of a
    /// change's key, and is called only for changes that a group wants with it.
    pub(crate) fn encode<E>(
        changes: &[Change],
        picks: &[Pick],
        groups: &Groups,
        previous: impl FnMut(usize) -> Result<Option<Bytes>, E>,
    ) -> Result<Self, E> {
        let picked = |prev_kv: bool| {
            let of_form = picks.iter().filter(|(group, _)| groups.get(*group).selection.prev_kv == prev_kv);
            let mut indices: Vec<_> = of_form.map(|(_, index)| *index).collect();
            indices.sort_unstable();
            indices.dedup();
            indices
        };
        Ok(Self {
            plain: Encoded::new(changes, picked(false), |_| Ok(None))?,
            with_previous: Encoded::new(changes, picked(true), previous)?,
        })
    }

    /// The block of the changes picked for a group, or of a part of them; at least one event.
    pub(crate) fn block(&self, of_group: &[Pick], group: &Group) -> Events {
        let encoded = if group.selection.prev_kv { &self.with_previous } else { &self.plain };
        encoded.block(of_group.iter().map(|(_, index)| *index))
    }
}
