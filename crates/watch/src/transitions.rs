//! How watches change their state.
//!
//! ```text
//!   create ──► Unsynced ◄──────► Parked        no room, room again
//!               │    ▲             ▲
//!     caught up ▼    │ restore     │ no room
//!              Synced ─────────────┘           each of them ──► Ended
//! ```

use crate::keys::{GroupKey, StreamId, WatcherKey};
use crate::watcher::{Watcher, WatcherState};
use crate::{Delivery, Events, Hub, Outlet, WatchBatch};

/// Watches of a stream that enter the queue at once when it has room again. Most streams have fewer, and the room
/// is seldom enough for so many.
const UNPARKED_MAX: usize = 1024;

impl<O: Outlet> Hub<O> {
    /// Delivers events to a watch if its stream has room.
    pub(crate) fn offer(&mut self, key: WatcherKey, events: &Events, revision: i64) -> bool {
        let watcher = &mut self.watchers[key.index()];
        let stream = &mut self.streams[watcher.stream.index()];
        if !stream.has_room() {
            return false;
        }
        watcher.is_quiet = false;
        let &mut Watcher { id, fragment, .. } = watcher;
        let batch = WatchBatch { id, revision, events: events.clone(), fragment };
        stream.outlet.deliver(Delivery::Events(batch));
        true
    }

    /// Lets a watch that is neither synced nor in the queue go on at `next`.
    pub(crate) fn continue_at(&mut self, key: WatcherKey, next: i64) {
        if next == self.position + 1 {
            return self.sync(key);
        }
        self.watchers[key.index()].state = WatcherState::Unsynced(next);
        self.unsynced.insert((next, key));
        self.n_future += usize::from(self.is_future(next));
    }

    /// Whether this revision lies behind the next one.
    fn is_future(&self, next: i64) -> bool {
        next > self.position.saturating_add(1)
    }

    /// Synced watches have received everything up to `position`.
    pub(crate) fn advance_to(&mut self, position: i64) {
        if self.n_future > 0 {
            let come = self.unsynced_in(self.position + 2, position.saturating_add(1)).count();
            self.n_future -= come;
        }
        self.position = position;
    }

    /// Lets a watch that is neither synced nor in the queue wait for room.
    pub(crate) fn park(&mut self, key: WatcherKey, next: i64) {
        let watcher = &mut self.watchers[key.index()];
        watcher.state = WatcherState::Parked(next);
        self.streams[watcher.stream.index()].parked.insert((next, key));
    }

    /// Lets watches of a stream that has room again into the queue. Not all of them: if there are very many, each
    /// time that their client reads a little would cost as much as serving all of them.
    pub(crate) fn unpark(&mut self, stream: StreamId) {
        for _ in 0..UNPARKED_MAX {
            if !self.unpark_one(stream) {
                return;
            }
        }
    }

    /// Lets the parked watch that is furthest behind into the queue, if there is one and its stream has room.
    fn unpark_one(&mut self, stream: StreamId) -> bool {
        let stream_state = &mut self.streams[stream.index()];
        if stream_state.is_full {
            return false;
        }
        let Some((next, key)) = stream_state.parked.pop_first() else { return false };
        self.watchers[key.index()].state = WatcherState::Unsynced(next);
        self.unsynced.insert((next, key))
    }

    /// Takes a watch out of the queue.
    pub(crate) fn leave_queue(&mut self, next: i64, key: WatcherKey) {
        self.unsynced.remove(&(next, key));
        self.n_future -= usize::from(self.is_future(next));
        _ = self.unpark_one(self.watchers[key.index()].stream);
    }

    /// An unsynced watch has received everything.
    fn sync(&mut self, key: WatcherKey) {
        let watcher = &mut self.watchers[key.index()];
        let group = self.groups.get_mut(watcher.group);
        watcher.state = WatcherState::Synced(group.synced.len() as u32);
        group.synced.push(key);
        group.n_unsynced -= 1;
        self.n_unsynced -= 1;
        self.n_synced += 1;
        let stream = watcher.stream;
        let stream_state = &mut self.streams[stream.index()];
        stream_state.n_unsynced -= 1;
        stream_state.n_synced += 1;
        self.deliver_due_progress(stream);
    }

    /// Makes a synced watch unsynced, without putting it into the queue.
    pub(crate) fn unsync(&mut self, key: WatcherKey) {
        self.leave_synced(key);
        let Watcher { group, stream, .. } = self.watchers[key.index()];
        self.groups.get_mut(group).n_unsynced += 1;
        self.n_unsynced += 1;
        self.streams[stream.index()].n_unsynced += 1;
    }

    /// Moves the hub to `position` without any delivery: synced watches become unsynced.
    pub(crate) fn skip_to(&mut self, position: i64) {
        let next = self.position + 1;
        self.advance_to(position);
        let is_synced = |(_, watcher): &(usize, &Watcher)| matches!(watcher.state, WatcherState::Synced(_));
        let synced: Vec<_> =
            self.watchers.iter().filter(is_synced).map(|(index, _)| WatcherKey(index as u32)).collect();
        for key in synced {
            self.unsync(key);
            self.continue_at(key, next);
        }
    }

    /// Takes a synced watch out of its group.
    fn leave_synced(&mut self, key: WatcherKey) {
        let Watcher { group, stream, state, .. } = self.watchers[key.index()];
        let WatcherState::Synced(at) = state else {
            unreachable!("only synced watches leave the synced ones")
        };
        let synced = &mut self.groups.get_mut(group).synced;
        synced.swap_remove(at as usize);
        if let Some(moved) = synced.get(at as usize) {
            self.watchers[moved.index()].state = state;
        }
        self.n_synced -= 1;
        self.streams[stream.index()].n_synced -= 1;
    }

    /// Ends a watch: it gets nothing any more.
    pub(crate) fn end_watcher(&mut self, key: WatcherKey) {
        let Watcher { group, stream, state, .. } = self.watchers[key.index()];
        match state {
            WatcherState::Ended => return,
            WatcherState::Synced(_) => self.leave_synced(key),
            WatcherState::Unsynced(next) | WatcherState::Parked(next) => {
                if !self.streams[stream.index()].parked.remove(&(next, key)) {
                    self.leave_queue(next, key);
                }
                self.streams[stream.index()].n_unsynced -= 1;
                self.n_unsynced -= 1;
                self.groups.get_mut(group).n_unsynced -= 1;
            }
        }
        self.watchers[key.index()].state = WatcherState::Ended;
        self.groups.remove_if_empty(group);
    }

    pub(crate) fn group_of(&self, key: WatcherKey) -> GroupKey {
        self.watchers[key.index()].group
    }

    /// The first watch in the queue that wants a revision of `first..=last` next and has room; others on the
    /// way there are parked.
    pub(crate) fn first_unsynced(&mut self, first: i64, last: i64) -> Option<i64> {
        loop {
            let &(next, key) = self.unsynced_in(first, last).next()?;
            if self.streams[self.watchers[key.index()].stream.index()].has_room() {
                return Some(next);
            }
            self.leave_queue(next, key);
            self.park(key, next);
        }
    }

    /// Watches in the queue that want a revision of `first..=last` next.
    pub(crate) fn unsynced_in(
        &self,
        first: i64,
        last: i64,
    ) -> impl DoubleEndedIterator<Item = &(i64, WatcherKey)> {
        let end = last.max(first.saturating_sub(1)).saturating_add(1);
        self.unsynced.range((first, WatcherKey(0))..(end, WatcherKey(0)))
    }

    /// Ends the watches that want compacted history.
    pub(crate) fn end_compacted(&mut self) {
        let compacted = self.reader.compacted();
        while let Some(&(next, key)) = self.unsynced.first()
            && next < compacted
        {
            let Watcher { id, stream, .. } = self.watchers[key.index()];
            self.end_watcher(key);
            self.streams[stream.index()].outlet.deliver(Delivery::Compacted { id, compacted });
            self.deliver_due_progress(stream);
        }
    }
}
