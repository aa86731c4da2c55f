//! Opening a store: everything in memory is rebuilt from the rows.

use std::ops::Bound;
use std::sync::Arc;

use backend::{Backend, Bucket, View};
use base::{LeaseId, Revision};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::compact::Compactions;
use crate::error::{Corruption, OpenError};
use crate::index::{Index, Key, Keys};
use crate::key_index::{KeyIndex, Stamp};
use crate::markers::Marker;
use crate::row::{self, Fields};
use crate::shared::Shared;
use crate::write::Store;

/// The main revision of a store that was never written to.
const FIRST_REVISION: i64 = 1;

/// Settings of a store.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bound of the memory for rows read from the backend, in bytes.
    pub cache_bytes: usize,
}

impl Store {
    /// Opens the store in `backend`: reads all rows once, in order, which takes about a second per million.
    /// An interrupted compaction is in effect at once and goes on with [`Store::scrub`].
    pub fn open(backend: Backend, config: &Config) -> Result<Self, OpenError> {
        Self::open_with(backend, config, |_, _| ())
    }

    /// As [`Store::open`], and shows `visit` each change on the way, in order: the key, and the lease that it
    /// was put with, [`LeaseId::NONE`] if it was put without or deleted. So whoever keeps account of the keys
    /// of leases needs no pass of his own.
    pub fn open_with(
        backend: Backend,
        config: &Config,
        visit: impl FnMut(&[u8], LeaseId),
    ) -> Result<Self, OpenError> {
        let view = backend.view();
        let finished = Marker::Finished.read::<OpenError>(&view)?;
        let scheduled = Marker::Scheduled.read::<OpenError>(&view)?;
        let (index, newest) = read_rows(&view, visit)?;
        let compacted = finished.max(scheduled);
        let current = newest.max(compacted).max(FIRST_REVISION);
        Ok(Self {
            shared: Arc::new(Shared::new(backend, index, config.cache_bytes, current, compacted)),
            released: current,
            compactions: Compactions::resumed(finished, scheduled),
        })
    }
}

/// The index, and the largest main revision (0 if there is no row).
fn read_rows(view: &View, mut visit: impl FnMut(&[u8], LeaseId)) -> Result<(Index, i64), OpenError> {
    let mut keys = Keys::new();
    let mut newest = 0;
    for row in view.range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded))? {
        let (row_key, value) = row?;
        newest = add_row(&mut keys, &row_key, &value, &mut visit)?.main;
    }
    Ok((Index::from_keys(keys), newest))
}

fn add_row(
    keys: &mut Keys,
    row_key: &Bytes,
    value: &[u8],
    visit: &mut impl FnMut(&[u8], LeaseId),
) -> Result<Revision, Corruption> {
    let (revision, tombstone) = row::parse_key(row_key)?;
    let fields = Fields::parse(value).ok_or(Corruption::Row { revision })?;
    let stamp = match tombstone {
        true => Stamp::tombstone(revision),
        false => Stamp::put(revision, fields.create_revision, fields.version),
    };
    match keys.get_mut(fields.key).map(Mutex::get_mut) {
        None => _ = keys.insert(Key::from_slice(fields.key), Mutex::new(KeyIndex::new(stamp))),
        Some(key) if key.newest().revision() < revision => key.push(stamp),
        Some(_) => return Err(Corruption::Order { revision }),
    }
    visit(fields.key, fields.lease);
    Ok(revision)
}
