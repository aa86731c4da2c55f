//! One watch, and its state.

use crate::WatchId;
use crate::keys::{GroupKey, StreamId};

#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) id: WatchId,
    pub(crate) stream: StreamId,
    pub(crate) group: GroupKey,
    pub(crate) state: WatcherState,
    pub(crate) fragment: bool,
    pub(crate) progress_notify: bool,
    /// Whether there were no events since the last tick.
    pub(crate) is_quiet: bool,
}

/// Which events a watch gets next. Only the functions of `transitions` change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatcherState {
    /// Those behind the hub's position. The watch has this index in the list of its group.
    Synced(u32),
    /// Those from this revision on; the watch is in the hub's queue.
    Unsynced(i64),
    /// Those from this revision on, once its stream has room.
    Parked(i64),
    /// None; the watch belongs to no group.
    Ended,
}
