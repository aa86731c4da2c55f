//! A store, a hub, and everything that is known of them. Every delivery is checked when it is made: against all
//! changes there ever were, and against what its watch was told before.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use api_proto::EncodedKeyValue;
use api_proto::etcdserverpb::WatchResponse;
use api_proto::mvccpb::{Event, KeyValue, event::EventType};
use backend::{Backend, Batch};
use base::{KeyRange, LeaseId};
use bytes::Bytes;
use ferretcd_watch::{
    Counts, Delivery, End, HistoryAnswer, HistoryRequest, Hub, Outlet, Refusal, StreamId, WatchBatch,
    WatchId, WatchSpec,
};
use mvcc::{Change, ChangeKind, Reader, Scrub, Store};
use prost::Message;

/// One change to make.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(Bytes, Bytes),
    Delete(KeyRange),
}

/// A stream's queue. It counts bytes until they are drained and refuses events above its capacity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue(Rc<RefCell<QueueState>>);

#[derive(Debug, Default)]
struct QueueState {
    /// Not yet checked.
    fresh: Vec<Delivery>,
    bytes: usize,
    capacity: usize,
    /// The owner has to call `resume`.
    was_refused: bool,
}

impl Outlet for Queue {
    fn has_room(&mut self) -> bool {
        let mut state = self.0.borrow_mut();
        let has_room = state.bytes < state.capacity;
        state.was_refused |= !has_room;
        has_room
    }

    fn deliver(&mut self, delivery: Delivery) {
        let mut state = self.0.borrow_mut();
        if let Delivery::Events(batch) = &delivery {
            state.bytes += batch.events.as_bytes().len();
        }
        state.fresh.push(delivery);
    }
}

/// What a client knows of its stream.
pub(crate) struct Stream {
    id: StreamId,
    queue: Queue,
    requires_leader: bool,
    is_over: bool,
    watches: BTreeMap<WatchId, Watch>,
    /// Where the hub looks for a free id first.
    next_id: WatchId,
    /// Manual progress was asked for and must come.
    is_owed_progress: bool,
    /// All deliveries so far, for the tests that look at them.
    seen: Vec<Delivery>,
}

impl Stream {
    fn live(&self) -> impl Iterator<Item = &Watch> {
        self.watches.values().filter(|watch| !watch.is_over)
    }

    fn was_refused(&self) -> bool {
        self.queue.0.borrow().was_refused
    }
}

pub(crate) struct Watch {
    spec: WatchSpec,
    /// The first revision that it wants.
    start: i64,
    /// Everything up to this revision was delivered; at first, nothing up to it is wanted.
    told: i64,
    /// Ended by a compaction.
    is_over: bool,
    /// No events since the last tick.
    is_quiet: bool,
}

pub(crate) struct World {
    backend: Backend,
    pub(crate) store: Store,
    pub(crate) reader: Reader,
    batch: Batch,
    pub(crate) hub: Hub<Queue>,
    /// Every change there ever was.
    changes: Vec<Change>,
    committed: i64,
    /// What the hub said last that it has told.
    position: i64,
    /// Closed ones leave a gap.
    streams: Vec<Option<Stream>>,
    pub(crate) request: Option<HistoryRequest>,
    pub(crate) answer: Option<HistoryAnswer>,
}

impl World {
    pub(crate) fn new() -> Self {
        let backend = Backend::in_memory();
        let store = Store::open(backend.clone(), &mvcc::Config { cache_bytes: 1 << 12 }).unwrap();
        let reader = store.reader();
        Self {
            hub: Hub::new(reader.clone()),
            backend,
            position: reader.revision(),
            committed: reader.revision(),
            store,
            reader,
            batch: Batch::default(),
            changes: Vec::new(),
            streams: Vec::new(),
            request: None,
            answer: None,
        }
    }
}

/// The store.
impl World {
    pub(crate) fn write(&mut self, writes: &[Write]) -> i64 {
        let mut txn = self.store.write(&mut self.batch);
        for write in writes {
            match write {
                Write::Put(key, value) => _ = txn.put(key.clone(), value.clone(), LeaseId::NONE),
                Write::Delete(range) => _ = txn.delete_range(range),
            }
        }
        let committed = txn.commit();
        self.changes.extend(committed.changes);
        committed.revision
    }

    /// Writes one key in a transaction of its own.
    pub(crate) fn put(&mut self, key: &str, value: &str) -> i64 {
        self.write(&[Write::Put(key.to_owned().into(), value.to_owned().into())])
    }

    pub(crate) fn commit(&mut self) {
        self.backend.commit(&std::mem::take(&mut self.batch)).unwrap();
        self.committed = self.store.revision();
    }

    /// Lets the memory go of rows up to `main`, as far as the backend has them.
    pub(crate) fn release(&mut self, main: i64) {
        self.store.release(main.min(self.committed));
    }

    pub(crate) fn commit_and_release(&mut self) {
        self.commit();
        self.release(i64::MAX);
    }

    pub(crate) fn compact(&mut self, revision: i64) {
        _ = self.store.compact(revision, &mut self.batch);
    }

    pub(crate) fn scrub(&mut self, limit: usize) -> Scrub {
        self.store.scrub(limit, &mut self.batch).unwrap()
    }
}

/// The owner's side of the hub. Every step ends with a look at what was delivered.
impl World {
    pub(crate) fn open(&mut self, capacity: usize, requires_leader: bool) -> usize {
        let queue = Queue::default();
        queue.0.borrow_mut().capacity = capacity;
        let id = self.hub.open(queue.clone(), requires_leader);
        self.streams.push(Some(Stream {
            id,
            queue,
            requires_leader,
            is_over: false,
            watches: BTreeMap::new(),
            next_id: 0,
            is_owed_progress: false,
            seen: Vec::new(),
        }));
        self.streams.len() - 1
    }

    pub(crate) fn close(&mut self, stream: usize) {
        let Some(gone) = self.streams[stream].take() else { return };
        self.hub.close(gone.id);
        assert!(gone.queue.0.borrow().fresh.is_empty(), "a closed stream is told nothing");
        assert_eq!(Rc::strong_count(&gone.queue.0), 1, "the hub keeps nothing of a closed stream");
        self.check_deliveries();
    }

    /// Creates a watch and returns its id, or why there is none; `None` on a stream that is over.
    pub(crate) fn create(&mut self, stream: usize, spec: WatchSpec) -> Option<Result<WatchId, Refusal>> {
        let revision = self.position;
        let state = self.streams[stream].as_mut()?;
        self.hub.create(state.id, spec.clone());
        if state.is_over {
            self.check_deliveries();
            return None;
        }
        let expected = state.choose_id(&spec);
        let answer = match expected {
            Ok(id) => Delivery::Created { id, revision },
            Err(reason) => Delivery::Refused { revision, reason },
        };
        state.take_answer(answer);
        if let Ok(id) = expected {
            let start = if spec.start == 0 { revision + 1 } else { spec.start };
            let watch = Watch { spec, start, told: start.saturating_sub(1), is_over: false, is_quiet: true };
            state.watches.insert(id, watch);
        }
        self.check_deliveries();
        Some(expected)
    }

    pub(crate) fn cancel(&mut self, stream: usize, id: WatchId) {
        let Some(state) = &mut self.streams[stream] else { return };
        self.hub.cancel(state.id, id);
        if state.watches.remove(&id).is_some() {
            state.take_answer(Delivery::Canceled { id, revision: self.position });
        }
        self.check_deliveries();
    }

    pub(crate) fn progress(&mut self, stream: usize) {
        let Some(state) = &mut self.streams[stream] else { return };
        self.hub.progress(state.id);
        let has_watches = state.live().next().is_some();
        state.is_owed_progress = has_watches;
        self.check_deliveries();
    }

    pub(crate) fn tick(&mut self, stream: usize) {
        let Some(mut state) = self.streams[stream].take() else { return };
        self.hub.tick(state.id);
        for delivery in state.take_fresh() {
            let Delivery::Progress { id: Some(id), revision } = delivery else {
                panic!("a tick causes nothing but progress of watches: {delivery:?}");
            };
            assert_eq!(revision, self.position);
            let watch = state.watches.get_mut(&id).expect("progress of a watch that exists");
            assert!(
                watch.spec.progress_notify && watch.is_quiet && !watch.is_over,
                "unasked progress of {id}"
            );
            self.tell_nothing(watch, revision);
            state.seen.push(delivery);
        }
        state.watches.values_mut().for_each(|watch| watch.is_quiet = true);
        self.streams[stream] = Some(state);
        self.check_deliveries();
    }

    pub(crate) fn end_all(&mut self, end: End) {
        self.hub.end_all(end);
        for stream in self.streams.iter_mut().flatten() {
            if !stream.is_over && (stream.requires_leader || end == End::Stopped) {
                stream.take_answer(Delivery::Ended(end));
                stream.is_over = true;
                stream.watches.clear();
            }
        }
        self.check_deliveries();
    }

    /// Empties a queue.
    pub(crate) fn drain(&mut self, stream: usize) {
        let Some(stream) = &self.streams[stream] else { return };
        stream.queue.0.borrow_mut().bytes = 0;
    }

    /// Tells the hub that there is room again, if it has to be told and there is.
    pub(crate) fn resume(&mut self, stream: usize) {
        let Some(stream) = &self.streams[stream] else { return };
        {
            let mut queue = stream.queue.0.borrow_mut();
            if !queue.was_refused || queue.bytes >= queue.capacity {
                return;
            }
            queue.was_refused = false;
        }
        self.hub.resume(stream.id);
        self.check_deliveries();
    }

    pub(crate) fn set_capacity(&mut self, stream: usize, capacity: usize) {
        let Some(stream) = &self.streams[stream] else { return };
        stream.queue.0.borrow_mut().capacity = capacity;
    }

    pub(crate) fn advance(&mut self) {
        self.hub.advance().unwrap();
        self.position = self.reader.revision();
        self.check_deliveries();
    }

    pub(crate) fn catch_up(&mut self) -> bool {
        let is_more = self.hub.catch_up().unwrap();
        self.check_deliveries();
        is_more
    }

    /// Asks what history is wanted. Returns whether there is some.
    pub(crate) fn ask(&mut self) -> bool {
        let is_under_way = self.request.is_some() || self.answer.is_some();
        let wanted = self.hub.wanted();
        let is_wanted = wanted.is_some();
        assert!(!is_under_way || !is_wanted, "one request at a time");
        self.request = wanted.or(self.request.take());
        self.check_deliveries();
        is_wanted
    }

    pub(crate) fn read(&mut self) {
        if let Some(request) = self.request.take() {
            self.answer = Some(request.read(&self.reader));
        }
    }

    pub(crate) fn supply(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.hub.supply(answer).unwrap();
            self.check_deliveries();
        }
    }

    /// Does everything that can be done without draining a queue. Then every watch whose stream never said
    /// no has been told everything. Returns the number of reads that it took.
    pub(crate) fn settle(&mut self) -> usize {
        let mut n_reads = 0;
        while n_reads < 1_000 {
            self.advance();
            let n_steps = (0..10_000).take_while(|_| self.catch_up()).count();
            assert!(n_steps < 10_000, "catching up in memory comes to an end");
            self.read();
            if self.answer.is_some() {
                self.supply();
                n_reads += 1;
            } else if !self.ask() {
                self.check_rest();
                return n_reads;
            }
        }
        panic!("reading history comes to an end");
    }

    /// Takes away every obstacle, and sees to it that everybody gets everything.
    pub(crate) fn finish(&mut self) {
        self.settle();
        for round in 0.. {
            assert!(round < 1_000, "watches catch up when their queues are drained");
            let mut was_refused = false;
            for stream in 0..self.streams.len() {
                was_refused |= self.streams[stream].as_ref().is_some_and(Stream::was_refused);
                self.set_capacity(stream, 100_000);
                self.drain(stream);
                self.resume(stream);
            }
            self.settle();
            if !was_refused {
                return;
            }
        }
    }

    /// All deliveries of a stream since the last time, in order.
    pub(crate) fn seen(&mut self, stream: usize) -> Vec<Delivery> {
        std::mem::take(&mut self.stream_mut(stream).seen)
    }

    /// All events since the last time.
    pub(crate) fn seen_events(&mut self, stream: usize) -> Vec<WatchBatch> {
        let batch = |delivery| match delivery {
            Delivery::Events(batch) => Some(batch),
            _ => None,
        };
        self.seen(stream).into_iter().filter_map(batch).collect()
    }

    pub(crate) fn n_streams(&self) -> usize {
        self.streams.len()
    }

    /// The ids of a stream, those of ended watches included.
    pub(crate) fn ids(&self, stream: usize) -> Vec<WatchId> {
        self.streams[stream].iter().flat_map(|stream| stream.watches.keys().copied()).collect()
    }

    fn stream_mut(&mut self, stream: usize) -> &mut Stream {
        self.streams[stream].as_mut().expect("the stream is open")
    }
}

impl Stream {
    fn take_fresh(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.queue.0.borrow_mut().fresh)
    }

    /// Takes the first fresh delivery, which must be `expected`.
    fn take_answer(&mut self, expected: Delivery) {
        let mut queue = self.queue.0.borrow_mut();
        assert_eq!(queue.fresh.first(), Some(&expected));
        queue.fresh.remove(0);
        self.seen.push(expected);
    }

    fn choose_id(&mut self, spec: &WatchSpec) -> Result<WatchId, Refusal> {
        match spec.id {
            _ if spec.range.is_empty() => Err(Refusal::EmptyRange),
            0 => {
                let id = (self.next_id..).find(|id| !self.watches.contains_key(id)).unwrap();
                self.next_id = id + 1;
                Ok(id)
            }
            id if self.watches.contains_key(&id) => Err(Refusal::DuplicateId),
            id => Ok(id),
        }
    }
}

/// What is expected.
impl World {
    fn check_deliveries(&mut self) {
        for index in 0..self.streams.len() {
            let Some(mut stream) = self.streams[index].take() else { continue };
            for delivery in stream.take_fresh() {
                assert!(!stream.is_over, "nothing after the end: {delivery:?}");
                self.check_delivery(&mut stream, &delivery);
                stream.seen.push(delivery);
            }
            let has_watches = stream.live().next().is_some();
            if !has_watches {
                stream.is_owed_progress = false;
            }
            self.streams[index] = Some(stream);
        }
        let Counts { streams, watchers, .. } = self.hub.counts();
        assert_eq!(streams, self.streams.iter().flatten().count());
        assert_eq!(
            watchers,
            self.streams.iter().flatten().map(|stream| stream.live().count()).sum::<usize>()
        );
    }

    fn check_delivery(&self, stream: &mut Stream, delivery: &Delivery) {
        match delivery {
            Delivery::Events(batch) => {
                let watch = stream.watches.get_mut(&batch.id).expect("events of a watch that exists");
                self.check_events(watch, batch);
            }
            Delivery::Progress { id: None, revision } => {
                assert!(std::mem::take(&mut stream.is_owed_progress), "nobody asked for progress");
                assert!(stream.live().next().is_some(), "progress of a stream without watches");
                for watch in stream.watches.values_mut().filter(|watch| !watch.is_over) {
                    self.tell_nothing(watch, *revision);
                }
            }
            Delivery::Compacted { id, compacted } => {
                let watch = stream.watches.get_mut(id).expect("the end of a watch that exists");
                assert!(!watch.is_over, "a watch ends once");
                assert!(*compacted <= self.reader.compacted());
                let next = watch.told + 1;
                assert!(next < *compacted, "{id} wants {next}, which is not gone at {compacted}");
                watch.is_over = true;
            }
            answer => panic!("an answer that nobody asked for: {answer:?}"),
        }
    }

    fn check_events(&self, watch: &mut Watch, batch: &WatchBatch) {
        assert!(!watch.is_over, "nothing after the end");
        assert!(batch.revision <= self.reader.revision());
        assert_eq!(batch.fragment, watch.spec.fragment);
        let expected = self.wanted(watch, batch.revision);
        let found = WatchResponse::decode(batch.events.as_bytes().clone()).unwrap().events;
        let (n_found, n_expected) = (found.len(), expected.len());
        assert_eq!(n_found, batch.events.len());
        for (found, change) in found.iter().zip(&expected) {
            self.check_event(found, change, watch.spec.prev_kv);
        }
        assert_eq!(n_found, n_expected, "all events of {}..={}", watch.told + 1, batch.revision);
        assert_ne!(n_found, 0, "no batch without events");
        let encoded = WatchResponse { events: found, ..WatchResponse::default() }.encode_to_vec();
        assert!(batch.events.as_bytes() == &encoded, "the encoding is the canonical one");
        watch.told = batch.revision;
        watch.is_quiet = false;
    }

    fn check_event(&self, found: &Event, change: &Change, prev_kv: bool) {
        let mut kv = KeyValue::decode(change.row.clone()).unwrap();
        kv.mod_revision = change.revision.main;
        assert!(found.kv.as_ref().unwrap().decode().unwrap() == kv, "{found:?} instead of {change:?}");
        let kind = match change.kind {
            ChangeKind::Put => EventType::Put,
            ChangeKind::Delete => EventType::Delete,
        };
        assert_eq!(found.r#type(), kind);
        let before = change.revision.main - 1;
        let previous = self.row_at(&change.key, before).filter(|_| prev_kv);
        match found.prev_kv.as_ref().map(EncodedKeyValue::as_bytes) {
            None => assert!(
                previous.is_none() || before < self.reader.compacted(),
                "{change:?} misses its previous value"
            ),
            found => assert!(found == previous, "{found:?} was before {change:?} instead of {previous:?}"),
        }
    }

    /// The row that a key had at a revision.
    fn row_at(&self, key: &Bytes, main: i64) -> Option<&Bytes> {
        let mut of_key = self.changes.iter().filter(|change| change.key == key);
        let newest = of_key.rfind(|change| change.revision.main <= main)?;
        (newest.kind == ChangeKind::Put).then_some(&newest.row)
    }

    /// What a watch has not been told of the revisions up to `last`.
    fn wanted(&self, watch: &Watch, last: i64) -> Vec<&Change> {
        let Watch { spec, told, .. } = watch;
        let is_wanted = |change: &&Change| {
            let is_filtered = if change.kind == ChangeKind::Put { spec.no_put } else { spec.no_delete };
            (told + 1..=last).contains(&change.revision.main)
                && spec.range.contains(&change.key)
                && !is_filtered
        };
        self.changes.iter().filter(is_wanted).collect()
    }

    /// The watch learns that there was nothing up to `revision`.
    fn tell_nothing(&self, watch: &mut Watch, revision: i64) {
        assert!(revision <= self.reader.revision());
        assert!(watch.start <= revision + 1, "a watch from {} on has no progress at {revision}", watch.start);
        let missing = self.wanted(watch, revision);
        assert!(missing.is_empty(), "progress at {revision} before {missing:?}");
        watch.told = watch.told.max(revision);
    }

    /// Nothing is left to do: whoever had room was told everything.
    fn check_rest(&mut self) {
        assert!(!self.catch_up() && !self.ask());
        let position = self.position;
        let mut n_behind = 0;
        for index in 0..self.streams.len() {
            let Some(mut stream) = self.streams[index].take() else { continue };
            let was_refused = stream.was_refused();
            let mut is_waiting = false;
            for watch in stream.watches.values_mut().filter(|watch| !watch.is_over) {
                let is_future = watch.start > position + 1;
                n_behind += usize::from(is_future);
                is_waiting |= is_future;
                if !was_refused && !is_future {
                    self.tell_nothing(watch, position);
                }
            }
            assert!(was_refused || is_waiting || !stream.is_owed_progress, "progress was not told");
            self.streams[index] = Some(stream);
        }
        if !self.streams.iter().flatten().any(Stream::was_refused) {
            assert_eq!(self.hub.counts().behind, n_behind);
        }
        for index in 0..self.streams.len() {
            self.check_tick_at_rest(index);
        }
    }

    /// At rest each watch that asked for progress is told of it with a tick.
    fn check_tick_at_rest(&mut self, index: usize) {
        let Some(stream) = &mut self.streams[index] else { return };
        if stream.was_refused() {
            return;
        }
        let asked =
            |watch: &&Watch| watch.spec.progress_notify && watch.is_quiet && watch.start <= self.position + 1;
        let n_expected = stream.live().filter(asked).count();
        let n_before = stream.seen.len();
        self.tick(index);
        assert_eq!(self.stream_mut(index).seen.len() - n_before, n_expected, "a tick at rest");
    }
}
