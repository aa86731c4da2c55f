//! The hub's state: streams, their watches, and where each watch stands.

use std::collections::{BTreeMap, BTreeSet};

use base::KeyRange;
use mvcc::Reader;
use slab::Slab;

use crate::groups::{GroupKey, Groups};
use crate::spec::Selection;
use crate::{Delivery, End, Events, Outlet, Refusal, WatchBatch, WatchId, WatchSpec};

/// Names a stream of a hub, until it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u32);

/// Names a watch within the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WatcherKey(u32);

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open streams.
    pub streams: usize,
    /// Watches that have not ended.
    pub watchers: usize,
    /// Those of them that are behind.
    pub behind: usize,
}

/// Tells watches about changes; see the [crate](crate). Generic over the way to the owner of a stream.
#[derive(Debug)]
pub struct Hub<O> {
    pub(crate) reader: Reader,
    /// Everything up to this main revision has been told to synced watches.
    pub(crate) position: i64,
    pub(crate) streams: Slab<Stream<O>>,
    pub(crate) watchers: Slab<Watcher>,
    pub(crate) groups: Groups,
    pub(crate) n_synced: usize,
    pub(crate) n_behind: usize,
    /// Watches that are behind, by the next revision that each wants, but for parked ones. Those that wait
    /// for a revision to come are at the end.
    pub(crate) behind: BTreeSet<(i64, WatcherKey)>,
    /// Whether a [`HistoryRequest`](crate::HistoryRequest) is under way.
    pub(crate) is_reading: bool,
}

#[derive(Debug)]
pub(crate) struct Stream<O> {
    pub(crate) outlet: O,
    requires_leader: bool,
    is_over: bool,
    watchers: BTreeMap<WatchId, WatcherKey>,
    /// Where the search for a free id begins.
    next_id: WatchId,
    n_synced: usize,
    n_behind: usize,
    /// Whether manual progress was asked for and could not be told yet.
    owes_progress: bool,
    /// Whether the outlet said that it has no room.
    is_full: bool,
    /// Watches that are behind and wait for room.
    parked: Vec<WatcherKey>,
}

#[derive(Debug)]
pub(crate) struct Watcher {
    id: WatchId,
    stream: StreamId,
    pub(crate) group: GroupKey,
    place: Place,
    fragment: bool,
    progress_notify: bool,
    /// Whether there were no events since the last tick.
    is_quiet: bool,
}

/// Where a watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the hub's position, and at this place among the synced ones of its group.
    Synced(u32),
    /// It wants this revision next.
    Behind(i64),
    /// The same, and the stream has no room.
    Parked(i64),
    /// It gets nothing any more and belongs to no group.
    Over,
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
            n_behind: 0,
            behind: BTreeSet::new(),
            is_reading: false,
        }
    }

    /// Everything up to this revision has been told to watches that are synced.
    pub fn revision(&self) -> i64 {
        self.position
    }

    /// How many streams and watches there are.
    pub fn counts(&self) -> Counts {
        Counts { streams: self.streams.len(), watchers: self.n_synced + self.n_behind, behind: self.n_behind }
    }

    /// Opens a stream. One that `requires_leader` is ended when there is none, see [`Hub::end_all`].
    pub fn open(&mut self, outlet: O, requires_leader: bool) -> StreamId {
        let stream = Stream {
            outlet,
            requires_leader,
            is_over: false,
            watchers: BTreeMap::new(),
            next_id: 0,
            n_synced: 0,
            n_behind: 0,
            owes_progress: false,
            is_full: false,
            parked: Vec::new(),
        };
        StreamId(self.streams.insert(stream) as u32)
    }

    /// Forgets a stream and its watches; nothing is delivered to it any more. The id must not be used again.
    pub fn close(&mut self, stream: StreamId) {
        self.end_watchers(stream);
        self.streams.remove(stream.index());
    }

    /// Creates a watch and answers with [`Delivery::Created`] or [`Delivery::Refused`].
    ///
    /// "Now" is the revision of the last [`Hub::advance`]: call that first, so that a watch from now on is
    /// not told what was answered before it was asked for.
    pub fn create(&mut self, stream: StreamId, spec: WatchSpec) {
        let revision = self.position;
        let state = &mut self.streams[stream.index()];
        if state.is_over {
            return;
        }
        let id = match state.choose_id(&spec) {
            Ok(id) => id,
            Err(reason) => return state.outlet.deliver(Delivery::Refused { revision, reason }),
        };
        let WatchSpec { range, start, no_put, no_delete, prev_kv, progress_notify, fragment, .. } = spec;
        let group = self.groups.enter(Selection { range: compact(range), no_put, no_delete, prev_kv });
        let next = if start == 0 { self.position + 1 } else { start };
        let watcher = Watcher {
            id,
            stream,
            group,
            place: Place::Behind(next),
            fragment,
            progress_notify,
            is_quiet: true,
        };
        let key = WatcherKey(self.watchers.insert(watcher) as u32);
        state.watchers.insert(id, key);
        state.n_behind += 1;
        state.outlet.deliver(Delivery::Created { id, revision });
        self.n_behind += 1;
        self.groups.get_mut(group).n_behind += 1;
        self.continue_at(key, next);
    }

    /// Ends a watch and answers with [`Delivery::Canceled`]. An id that the stream doesn't have is ignored.
    pub fn cancel(&mut self, stream: StreamId, id: WatchId) {
        let state = &mut self.streams[stream.index()];
        let Some(key) = state.watchers.remove(&id) else { return };
        state.outlet.deliver(Delivery::Canceled { id, revision: self.position });
        self.end_watcher(key);
        self.watchers.remove(key.index());
        self.pay_progress(stream);
    }

    /// Answers with [`Delivery::Progress`] for the whole stream once all of its watches are synced. Without
    /// a watch there is no answer.
    pub fn progress(&mut self, stream: StreamId) {
        self.streams[stream.index()].owes_progress = true;
        self.pay_progress(stream);
    }

    /// Tells the progress of each synced watch that asked for it and got no events since the last tick.
    pub fn tick(&mut self, stream: StreamId) {
        let revision = self.position;
        let state = &mut self.streams[stream.index()];
        for (id, key) in &state.watchers {
            let watcher = &mut self.watchers[key.index()];
            let was_quiet = std::mem::replace(&mut watcher.is_quiet, true);
            if was_quiet && watcher.progress_notify && matches!(watcher.place, Place::Synced(_)) {
                state.outlet.deliver(Delivery::Progress { id: Some(*id), revision });
            }
        }
    }

    /// The outlet of a stream, which had said that it has no room, has room again.
    pub fn resume(&mut self, stream: StreamId) {
        let state = &mut self.streams[stream.index()];
        state.is_full = false;
        for key in std::mem::take(&mut state.parked) {
            let watcher = &mut self.watchers[key.index()];
            let Place::Parked(next) = watcher.place else { unreachable!("the list has parked watches only") };
            watcher.place = Place::Behind(next);
            self.behind.insert((next, key));
        }
    }

    /// Ends all streams, or for [`End::NoLeader`] those that require a leader, with [`Delivery::Ended`]. An
    /// ended stream ignores commands; it still has to be closed.
    pub fn end_all(&mut self, end: End) {
        let concerned: Vec<_> = self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.is_over && (stream.requires_leader || end != End::NoLeader))
            .map(|(index, _)| StreamId(index as u32))
            .collect();
        for stream in concerned {
            self.end_watchers(stream);
            let state = &mut self.streams[stream.index()];
            state.is_over = true;
            state.outlet.deliver(Delivery::Ended(end));
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
    }

    /// Lets a watch that is behind, and not in the queue, wait for room.
    pub(crate) fn park(&mut self, key: WatcherKey, next: i64) {
        let watcher = &mut self.watchers[key.index()];
        watcher.place = Place::Parked(next);
        self.streams[watcher.stream.index()].parked.push(key);
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
        let next = std::mem::replace(&mut self.position, position) + 1;
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

    /// A watch gets nothing any more. A parked one must be taken from its stream's list if that stays.
    fn end_watcher(&mut self, key: WatcherKey) {
        let Watcher { group, stream, place, .. } = self.watchers[key.index()];
        match place {
            Place::Over => return,
            Place::Synced(_) => self.leave_synced(key),
            Place::Behind(_) | Place::Parked(_) => {
                if let Place::Behind(next) = place {
                    self.behind.remove(&(next, key));
                }
                let state = &mut self.streams[stream.index()];
                state.parked.retain(|parked| *parked != key);
                state.n_behind -= 1;
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
            self.behind.remove(&(next, key));
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

    /// Tells the progress that a stream has asked for, if now it can be told.
    fn pay_progress(&mut self, stream: StreamId) {
        let state = &mut self.streams[stream.index()];
        if state.n_behind == 0 && std::mem::take(&mut state.owes_progress) && state.n_synced > 0 {
            state.outlet.deliver(Delivery::Progress { id: None, revision: self.position });
        }
    }
}

impl<O: Outlet> Stream<O> {
    fn has_room(&mut self) -> bool {
        self.is_full = self.is_full || !self.outlet.has_room();
        !self.is_full
    }

    fn choose_id(&mut self, spec: &WatchSpec) -> Result<WatchId, Refusal> {
        if spec.range.is_empty() {
            return Err(Refusal::EmptyRange);
        }
        if spec.id != 0 {
            let is_free = !self.watchers.contains_key(&spec.id);
            return is_free.then_some(spec.id).ok_or(Refusal::DuplicateId);
        }
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }
}

impl StreamId {
    fn index(self) -> usize {
        self.0 as usize
    }
}

impl WatcherKey {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// The same range in memory of its own: the keys of a request are parts of the buffer that it came in.
fn compact(range: KeyRange) -> KeyRange {
    let own = |key: bytes::Bytes| bytes::Bytes::copy_from_slice(&key);
    match range {
        KeyRange::Key(key) => KeyRange::Key(own(key)),
        KeyRange::Interval(start, end) => KeyRange::Interval(own(start), own(end)),
        KeyRange::From(start) => KeyRange::From(own(start)),
    }
}
