//! Where each watch stands, and its way from one place to another.

use crate::groups::GroupKey;
use crate::stream::StreamId;
use crate::{Delivery, Events, Hub, Outlet, WatchBatch, WatchId};

/// Watches that a stream gets into the queue at once when it has room again. Most streams have fewer, and the room
/// is seldom enough for so many.
const UNPARKED_MAX: usize = 1024;

/// Names a watch within the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WatcherKey(pub(crate) u32);

#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) id: WatchId,
    pub(crate) stream: StreamId,
    pub(crate) group: GroupKey,
    pub(crate) place: Place,
    pub(crate) fragment: bool,
    pub(crate) progress_notify: bool,
    /// Whether there were no events since the last tick.
    pub(crate) is_quiet: bool,
}

/// Where a watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the hub's position, and at this place among the synced ones of its group.
    Synced(u32),
    /// It wants this revision next.
    Behind(i64),
    /// The same, and it waits until its stream has room.
    Parked(i64),
    /// It gets nothing any more and belongs to no group.
    Over,
}

/// Moving watches from place to place. Nothing but these functions changes one.
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

    /// Lets a watch that is behind, and not in the queue, go on at `next`.
    pub(crate) fn continue_at(&mut self, key: WatcherKey, next: i64) {
        if next == self.position + 1 {
            return self.sync(key);
        }
        self.watchers[key.index()].place = Place::Behind(next);
        self.behind.insert((next, key));
        self.n_awaiting += usize::from(self.is_to_come(next));
    }

    /// Whether a watch that wants this revision next waits for it to come.
    fn is_to_come(&self, next: i64) -> bool {
        next > self.position.saturating_add(1)
    }

    /// Everything up to `position` has been told, or left to who is behind.
    pub(crate) fn move_to(&mut self, position: i64) {
        if self.n_awaiting > 0 {
            let come = self.behind_in(self.position + 2, position.saturating_add(1)).count();
            self.n_awaiting -= come;
        }
        self.position = position;
    }

    /// Lets a watch that is behind, and not in the queue, wait for room.
    pub(crate) fn park(&mut self, key: WatcherKey, next: i64) {
        let watcher = &mut self.watchers[key.index()];
        watcher.place = Place::Parked(next);
        self.streams[watcher.stream.index()].parked.insert((next, key));
    }

    /// Lets watches of a stream that has room again into the queue. Not all of them: if there are very many, each
    /// time that their client reads a little would cost as much as telling all of them.
    pub(crate) fn unpark(&mut self, stream: StreamId) {
        for _ in 0..UNPARKED_MAX {
            if !self.unpark_one(stream) {
                return;
            }
        }
    }

    /// Lets the parked watch that is furthest back into the queue, if there is one and its stream has room.
    fn unpark_one(&mut self, stream: StreamId) -> bool {
        let state = &mut self.streams[stream.index()];
        if state.is_full {
            return false;
        }
        let Some((next, key)) = state.parked.pop_first() else { return false };
        self.watchers[key.index()].place = Place::Behind(next);
        self.behind.insert((next, key))
    }

    /// Takes a watch out of the queue.
    pub(crate) fn leave_queue(&mut self, next: i64, key: WatcherKey) {
        self.behind.remove(&(next, key));
        self.n_awaiting -= usize::from(self.is_to_come(next));
        _ = self.unpark_one(self.watchers[key.index()].stream);
    }

    /// A watch that is behind has been told everything.
    fn sync(&mut self, key: WatcherKey) {
        let watcher = &mut self.watchers[key.index()];
        let group = self.groups.get_mut(watcher.group);
        watcher.place = Place::Synced(group.synced.len() as u32);
        group.synced.push(key);
        group.n_behind -= 1;
        self.n_behind -= 1;
        self.n_synced += 1;
        let stream = watcher.stream;
        let state = &mut self.streams[stream.index()];
        state.n_behind -= 1;
        state.n_synced += 1;
        self.pay_progress(stream);
    }

    /// Takes the rank of a synced watch away; it is not in the queue then.
    pub(crate) fn unsync(&mut self, key: WatcherKey) {
        self.leave_synced(key);
        let Watcher { group, stream, .. } = self.watchers[key.index()];
        self.groups.get_mut(group).n_behind += 1;
        self.n_behind += 1;
        self.streams[stream.index()].n_behind += 1;
    }

    /// The hub goes to `position` without having told anybody what lies between.
    pub(crate) fn leap(&mut self, position: i64) {
        let next = self.position + 1;
        self.move_to(position);
        let is_synced = |(_, watcher): &(usize, &Watcher)| matches!(watcher.place, Place::Synced(_));
        let synced: Vec<_> =
            self.watchers.iter().filter(is_synced).map(|(index, _)| WatcherKey(index as u32)).collect();
        for key in synced {
            self.unsync(key);
            self.continue_at(key, next);
        }
    }

    /// Takes a synced watch out of its group.
    fn leave_synced(&mut self, key: WatcherKey) {
        let Watcher { group, stream, place, .. } = self.watchers[key.index()];
        let Place::Synced(at) = place else { unreachable!("only synced watches leave the synced ones") };
        let synced = &mut self.groups.get_mut(group).synced;
        synced.swap_remove(at as usize);
        if let Some(moved) = synced.get(at as usize) {
            self.watchers[moved.index()].place = place;
        }
        self.n_synced -= 1;
        self.streams[stream.index()].n_synced -= 1;
    }

    /// A watch gets nothing any more.
    pub(crate) fn end_watcher(&mut self, key: WatcherKey) {
        let Watcher { group, stream, place, .. } = self.watchers[key.index()];
        match place {
            Place::Over => return,
            Place::Synced(_) => self.leave_synced(key),
            Place::Behind(next) | Place::Parked(next) => {
                if !self.streams[stream.index()].parked.remove(&(next, key)) {
                    self.leave_queue(next, key);
                }
                self.streams[stream.index()].n_behind -= 1;
                self.n_behind -= 1;
                self.groups.get_mut(group).n_behind -= 1;
            }
        }
        self.watchers[key.index()].place = Place::Over;
        self.groups.remove_if_empty(group);
    }

    pub(crate) fn group_of(&self, key: WatcherKey) -> GroupKey {
        self.watchers[key.index()].group
    }

    /// The first watch in the queue that wants a revision of `first..=last` next and has room; others on the
    /// way there are parked.
    pub(crate) fn first_behind(&mut self, first: i64, last: i64) -> Option<i64> {
        loop {
            let &(next, key) = self.behind_in(first, last).next()?;
            if self.streams[self.watchers[key.index()].stream.index()].has_room() {
                return Some(next);
            }
            self.leave_queue(next, key);
            self.park(key, next);
        }
    }

    /// Watches in the queue that want a revision of `first..=last` next.
    pub(crate) fn behind_in(
        &self,
        first: i64,
        last: i64,
    ) -> impl DoubleEndedIterator<Item = &(i64, WatcherKey)> {
        let end = last.max(first.saturating_sub(1)).saturating_add(1);
        self.behind.range((first, WatcherKey(0))..(end, WatcherKey(0)))
    }

    /// Ends the watches that want history that is gone.
    pub(crate) fn end_compacted(&mut self) {
        let compacted = self.reader.compacted();
        while let Some(&(next, key)) = self.behind.first()
            && next < compacted
        {
            let Watcher { id, stream, .. } = self.watchers[key.index()];
            self.end_watcher(key);
            self.streams[stream.index()].outlet.deliver(Delivery::Compacted { id, compacted });
            self.pay_progress(stream);
        }
    }
}

impl WatcherKey {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}
