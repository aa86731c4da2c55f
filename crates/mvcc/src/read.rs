//! Reading: many at a time, from any thread, each at one revision.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::key_index::end_of;
use crate::shared::Shared;
use crate::snapshot::ReadView;

/// A handle for reading from any thread while the [`Store`](crate::Store) is written to. Cheap to clone. It
/// outlives the state that it reads: after [`Store::restore`](crate::Store::restore) it shows the new one.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) current: Arc<ArcSwap<Shared>>,
}

impl Reader {
    /// A view at the current revision: all transactions committed so far and none of the following ones.
    /// Costs next to nothing and holds nothing back; once a compaction passes its revision its reads fail.
    pub fn view(&self) -> ReadView {
        let shared = self.shared();
        ReadView { last: end_of(shared.current()), shared }
    }

    /// The current main revision; 1 in an empty store.
    pub fn revision(&self) -> i64 {
        self.current.load().current()
    }

    /// The compacted revision; -1 if there never was a compaction.
    pub fn compacted(&self) -> i64 {
        self.current.load().compacted()
    }

    /// The number of keys that exist, counting what a running transaction has changed already.
    pub fn key_count(&self) -> usize {
        self.current.load().index.n_live()
    }

    /// Memory held by rows that the backend's view does not have yet.
    pub fn buffered_bytes(&self) -> usize {
        self.current.load().recent.read().bytes()
    }

    /// The state as it is now. Two facts that have to fit together must come from one call: the next one
    /// may return the state of a restored store.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.current.load_full()
    }
}
