//! The hub: its state, and its owner's commands for streams and watches.

use std::collections::{BTreeMap, BTreeSet};

use ferretcd_base::KeyRange;
use ferretcd_mvcc::Reader;
use slab::Slab;

use crate::groups::Groups;
use crate::keys::{StreamId, WatcherKey};
use crate::spec::Selection;
use crate::stream::Stream;
use crate::watcher::{Watcher, WatcherState};
use crate::{Delivery, End, Outlet, WatchId, WatchSpec};

/// The numbers of streams and watches of a hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open streams.
    pub streams: usize,
    /// Watches that have not ended.
    pub watchers: usize,
    /// Those of them that have not received everything that has happened.
    pub unsynced: usize,
}

/// Delivers changes to watches; see the [crate](crate). Generic over the way to the owner of a stream.
#[derive(Debug)]
pub struct Hub<O> {
    pub(crate) reader: Reader,
    /// Synced watches have received everything up to this main revision.
    pub(crate) position: i64,
    pub(crate) streams: Slab<Stream<O>>,
    pub(crate) watchers: Slab<Watcher>,
    pub(crate) groups: Groups,
    pub(crate) n_synced: usize,
    pub(crate) n_unsynced: usize,
    /// Unsynced watches that start with a future revision.
    pub(crate) n_future: usize,
    /// The queue: unsynced watches without the parked ones, by the next revision that each wants. Those that start
    /// with a future revision are at the end.
    pub(crate) unsynced: BTreeSet<(i64, WatcherKey)>,
    /// Whether a [`HistoryRequest`](crate::HistoryRequest) is under way.
    pub(crate) is_reading: bool,
}

impl<O: Outlet> Hub<O> {
    /// A hub without streams, at the current revision of the store.
    pub fn new(reader: Reader) -> Self {
        Self {
            position: reader.revision(),
            reader,
            streams: Slab::new(),
            watchers: Slab::new(),
            groups: Groups::default(),
            n_synced: 0,
            n_unsynced: 0,
            n_future: 0,
            unsynced: BTreeSet::new(),
            is_reading: false,
        }
    }

    /// Synced watches have received everything up to this revision.
    pub fn revision(&self) -> i64 {
        self.position
    }

    /// The numbers of streams and watches.
    pub fn counts(&self) -> Counts {
        Counts {
            streams: self.streams.len(),
            watchers: self.n_synced + self.n_unsynced,
            unsynced: self.n_unsynced - self.n_future,
        }
    }

    /// Opens a stream. One that `requires_leader` is ended when there is none, see [`Hub::end_all`].
    pub fn open(&mut self, outlet: O, requires_leader: bool) -> StreamId {
        let stream = Stream {
            outlet,
            requires_leader,
            has_ended: false,
            watchers: BTreeMap::new(),
            next_id: 0,
            n_synced: 0,
            n_unsynced: 0,
            awaits_progress: false,
            is_full: false,
            parked: BTreeSet::new(),
        };
        StreamId(self.streams.insert(stream) as u32)
    }

    /// Forgets a stream and its watches; nothing is delivered to it any more. The id must not be used again.
    pub fn close(&mut self, stream: StreamId) {
        self.end_watchers(stream);
        self.streams.remove(stream.index());
    }

    /// Creates a watch and responds with [`Delivery::Created`] or [`Delivery::Rejected`].
    ///
    /// "Now" is the revision of the last [`Hub::advance`]: call that first, so that a watch from now on does
    /// not receive changes whose responses were sent before it was requested.
    pub fn create(&mut self, stream: StreamId, spec: WatchSpec) {
        let revision = self.position;
        let state = &mut self.streams[stream.index()];
        if state.has_ended {
            return;
        }
        let id = match state.choose_id(&spec) {
            Ok(id) => id,
            Err(reason) => return state.outlet.deliver(Delivery::Rejected { revision, reason }),
        };
        let WatchSpec { range, start, no_put, no_delete, prev_kv, progress_notify, fragment, .. } = spec;
        let group = self.groups.enter(Selection { range: detached(range), no_put, no_delete, prev_kv });
        let next = if start == 0 { self.position + 1 } else { start };
        let watcher = Watcher {
            id,
            stream,
            group,
            state: WatcherState::Unsynced(next),
            fragment,
            progress_notify,
            is_quiet: true,
        };
        let key = WatcherKey(self.watchers.insert(watcher) as u32);
        state.watchers.insert(id, key);
        state.n_unsynced += 1;
        state.outlet.deliver(Delivery::Created { id, revision });
        self.n_unsynced += 1;
        self.groups.get_mut(group).n_unsynced += 1;
        self.continue_at(key, next);
    }

    /// Ends a watch and responds with [`Delivery::Canceled`]. An id that the stream doesn't have is ignored.
    pub fn cancel(&mut self, stream: StreamId, id: WatchId) {
        let revision = self.position;
        self.end_watch(stream, id, Delivery::Canceled { id, revision });
    }

    /// Ends a watch and frees its id, if there is one of this id.
    fn end_watch(&mut self, stream: StreamId, id: WatchId, last: Delivery) {
        let state = &mut self.streams[stream.index()];
        let Some(key) = state.watchers.remove(&id) else { return };
        state.outlet.deliver(last);
        self.end_watcher(key);
        self.watchers.remove(key.index());
        self.deliver_due_progress(stream);
    }

    /// Ends every watch that `keep` rejects, by the way to its stream and its range, with [`Delivery::Revoked`].
    /// Looks at all watches.
    pub fn retain(&mut self, mut keep: impl FnMut(&O, &KeyRange) -> bool) {
        let mut rejected = Vec::new();
        for (index, stream) in &self.streams {
            for (id, key) in &stream.watchers {
                let watcher = &self.watchers[key.index()];
                let is_kept = matches!(watcher.state, WatcherState::Ended)
                    || keep(&stream.outlet, &self.groups.get(watcher.group).selection.range);
                if !is_kept {
                    rejected.push((StreamId(index as u32), *id));
                }
            }
        }
        for (stream, id) in rejected {
            let revision = self.position;
            self.end_watch(stream, id, Delivery::Revoked { id, revision });
        }
    }

    /// Responds with [`Delivery::Progress`] for the whole stream once all of its watches are synced. Without
    /// a watch there is no response.
    pub fn progress(&mut self, stream: StreamId) {
        self.streams[stream.index()].awaits_progress = true;
        self.deliver_due_progress(stream);
    }

    /// Delivers the progress of each synced watch that wants it and got no events since the last tick.
    pub fn tick(&mut self, stream: StreamId) {
        let revision = self.position;
        let state = &mut self.streams[stream.index()];
        for (id, key) in &state.watchers {
            let watcher = &mut self.watchers[key.index()];
            let was_quiet = std::mem::replace(&mut watcher.is_quiet, true);
            if was_quiet && watcher.progress_notify && matches!(watcher.state, WatcherState::Synced(_)) {
                state.outlet.deliver(Delivery::Progress { id: Some(*id), revision });
            }
        }
    }

    /// The outlet of a stream, which had reported that it has no room, has room again.
    pub fn resume(&mut self, stream: StreamId) {
        self.streams[stream.index()].is_full = false;
        self.unpark(stream);
    }

    /// Ends all streams, or for [`End::NoLeader`] those that require a leader, with [`Delivery::Ended`]. An
    /// ended stream ignores commands; it still has to be closed.
    pub fn end_all(&mut self, end: End) {
        let concerned: Vec<_> = self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.has_ended && (stream.requires_leader || end != End::NoLeader))
            .map(|(index, _)| StreamId(index as u32))
            .collect();
        for stream in concerned {
            self.end_watchers(stream);
            let state = &mut self.streams[stream.index()];
            state.has_ended = true;
            state.outlet.deliver(Delivery::Ended(end));
        }
    }

    /// Delivers the progress that a stream has requested, if all of its watches are synced now.
    pub(crate) fn deliver_due_progress(&mut self, stream: StreamId) {
        let state = &mut self.streams[stream.index()];
        if state.n_unsynced == 0 && std::mem::take(&mut state.awaits_progress) && state.n_synced > 0 {
            state.outlet.deliver(Delivery::Progress { id: None, revision: self.position });
        }
    }

    /// Takes all watches away from a stream.
    fn end_watchers(&mut self, stream: StreamId) {
        let state = &mut self.streams[stream.index()];
        state.parked.clear();
        for key in std::mem::take(&mut state.watchers).into_values() {
            self.end_watcher(key);
            self.watchers.remove(key.index());
        }
    }
}

/// The same range in memory of its own: the keys of a request are parts of the buffer that it came in.
fn detached(range: KeyRange) -> KeyRange {
    let own = |key: bytes::Bytes| bytes::Bytes::copy_from_slice(&key);
    match range {
        KeyRange::Key(key) => KeyRange::Key(own(key)),
        KeyRange::Interval(start, end) => KeyRange::Interval(own(start), own(end)),
        KeyRange::From(start) => KeyRange::From(own(start)),
    }
}
