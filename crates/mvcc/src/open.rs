//! Opening and restoring a store: everything in memory is rebuilt from the rows.

use std::ops::Bound;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ferretcd_backend::{Backend, Bucket, View};
use ferretcd_base::{LeaseId, Revision};

use crate::compactions::Compactions;
use crate::error::{Corruption, OpenError};
use crate::index::{Index, Key};
use crate::key_index::Stamp;
use crate::markers::Marker;
use crate::row;
use crate::shared::Shared;
use crate::store::Store;
use crate::tree::Tree;

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
    /// was put with, [`LeaseId::NONE`] if it was put without or deleted. So the keys of leases
    /// can be collected without another pass.
    pub fn open_with(
        backend: Backend,
        config: &Config,
        visit: impl FnMut(&[u8], LeaseId),
    ) -> Result<Self, OpenError> {
        Opened::read(&backend, config.cache_bytes, visit).map(Self::from)
    }

    /// Begins anew from the rows that `backend` shows now, under the readers that there are: after
    /// [`Backend::replace`], or with another backend. Reads all rows as [`Store::open`] does.
    ///
    /// The new state shows to readers at once and as a whole. A view from before keeps the state that it was
    /// made of, in memory and in the file, until it is dropped; so no read sees some of both. A
    /// compaction that was interrupted goes on, hashes of finished ones are forgotten. Rows that were not
    /// committed are none of the new state: batches from before must not be committed any more.
    ///
    /// The state from before is left as it is on an error.
    pub fn restore(&mut self, backend: &Backend) -> Result<(), OpenError> {
        self.restore_with(backend, |_, _| ())
    }

    /// As [`Store::restore`], showing `visit` what [`Store::open_with`] does.
    pub fn restore_with(
        &mut self,
        backend: &Backend,
        visit: impl FnMut(&[u8], LeaseId),
    ) -> Result<(), OpenError> {
        let Opened { shared, compactions } = Opened::read(backend, self.shared.cache_bytes, visit)?;
        self.released = shared.current();
        self.compactions = compactions;
        self.shared = Arc::new(shared);
        self.current.store(Arc::clone(&self.shared));
        Ok(())
    }
}

/// The state in the rows of a backend.
struct Opened {
    shared: Shared,
    compactions: Compactions,
}

impl Opened {
    fn read(
        backend: &Backend,
        cache_bytes: usize,
        visit: impl FnMut(&[u8], LeaseId),
    ) -> Result<Self, OpenError> {
        // Of one file throughout, whatever takes its place under the handle.
        let backend = backend.pinned();
        let view = backend.view();
        let finished = Marker::Finished.read::<OpenError>(&view)?;
        let scheduled = Marker::Scheduled.read::<OpenError>(&view)?;
        let (index, newest) = read_rows(&view, visit)?;
        let compacted = finished.max(scheduled);
        let current = newest.max(compacted).max(FIRST_REVISION);
        Ok(Self {
            shared: Shared::new(backend, index, cache_bytes, current, compacted),
            compactions: Compactions::resumed(finished, scheduled),
        })
    }
}

impl From<Opened> for Store {
    fn from(opened: Opened) -> Self {
        let Opened { shared, compactions } = opened;
        let (released, shared) = (shared.current(), Arc::new(shared));
        Self { current: Arc::new(ArcSwap::new(Arc::clone(&shared))), shared, released, compactions }
    }
}

/// The index, and the largest main revision (0 if there is no row).
fn read_rows(view: &View, mut visit: impl FnMut(&[u8], LeaseId)) -> Result<(Index, i64), OpenError> {
    let mut tree = Tree::default();
    let mut newest = 0;
    for row in view.range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded))? {
        let (row_key, value) = row?;
        newest = add_row(&mut tree, &row_key, &value, &mut visit)?.main;
    }
    Ok((Index::new(tree), newest))
}

fn add_row(
    tree: &mut Tree,
    row_key: &Bytes,
    value: &[u8],
    visit: &mut impl FnMut(&[u8], LeaseId),
) -> Result<Revision, Corruption> {
    let (revision, tombstone, fields) = row::parse(row_key, value)?;
    let stamp = match tombstone {
        true => Stamp::tombstone(revision),
        false => {
            let row_bytes = u32::try_from(value.len()).map_err(|_| Corruption::Row { revision })?;
            Stamp::put(revision, fields.create_revision, fields.version, row_bytes)
        }
    };
    let mut in_order = true;
    let newest = tree.change(fields.key, |state| {
        in_order = state.newest().revision() < revision;
        if in_order {
            state.push(stamp);
        }
    });
    if !in_order {
        return Err(Corruption::Order { revision });
    }
    if newest.is_none() {
        tree.insert(Key::from_slice(fields.key), stamp);
    }
    visit(fields.key, fields.lease);
    Ok(revision)
}
