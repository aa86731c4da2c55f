//! A store and a hub with a model of both. Every delivery is checked when it is made: against all changes ever made,
//! and against what its watch has received before.

mod check;
mod stream;

use std::ops::Bound;

use bytes::Bytes;
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::{KeyRange, LeaseId, Revision};
use ferretcd_mvcc::{Change, Reader, Scrub, Store};
use ferretcd_watch::{
    CreateError, Delivery, End, HistoryRequest, HistoryResponse, Hub, WatchBatch, WatchId, WatchSpec,
};

use self::stream::{Queue, Stream, Watch};

/// One change to make.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(Bytes, Bytes),
    Delete(KeyRange),
}

pub(crate) struct Harness {
    backend: Backend,
    pub(crate) store: Store,
    pub(crate) reader: Reader,
    batch: Batch,
    pub(crate) hub: Hub<Queue>,
    /// Every change there ever was.
    changes: Vec<Change>,
    committed: i64,
    /// The revision up to which the hub's synced watches have received everything.
    position: i64,
    /// Closed ones leave a gap.
    streams: Vec<Option<Stream>>,
    pub(crate) request: Option<HistoryRequest>,
    pub(crate) response: Option<HistoryResponse>,
}

impl Harness {
    pub(crate) fn new() -> Self {
        let backend = Backend::in_memory();
        let store = Store::open(backend.clone(), &ferretcd_mvcc::Config { cache_bytes: 1 << 12 }).unwrap();
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
            response: None,
        }
    }
}

/// The store.
impl Harness {
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

    /// Takes the row of a put out of the state file, so that reading it fails. The history doesn't show it.
    pub(crate) fn lose(&mut self, main: i64) {
        self.batch.delete(Bucket::Key, Revision::new(main, 0).to_bytes().to_vec());
        self.commit();
    }

    pub(crate) fn compact(&mut self, revision: i64) {
        _ = self.store.compact(revision, &mut self.batch);
    }

    /// Another member goes on from this one's state with these transactions, compacts, and removes that many rows;
    /// then the store is restored from what it has. Rows that were not committed here never are.
    pub(crate) fn restore(&mut self, writes: &[Vec<Write>], compact: Option<i64>, n_scrubbed: usize) {
        let mut batch = Batch::default();
        for bucket in Bucket::ALL {
            let everything = (Bound::Unbounded, Bound::Unbounded);
            for row in self.backend.view().range(bucket, everything).unwrap() {
                let (key, value) = row.unwrap();
                batch.put(bucket, key, value);
            }
        }
        batch.append(std::mem::take(&mut self.batch));
        let elsewhere = Backend::in_memory();
        elsewhere.commit(&batch).unwrap();

        let config = ferretcd_mvcc::Config { cache_bytes: 1 << 12 };
        let mut other = Self { store: Store::open(elsewhere.clone(), &config).unwrap(), ..Self::new() };
        other.backend = elsewhere;
        for writes in writes {
            other.write(writes);
        }
        if let Some(revision) = compact {
            other.compact(revision);
        }
        other.commit_and_release();
        if n_scrubbed > 0 {
            other.scrub(n_scrubbed);
            other.commit();
        }

        self.changes.extend(other.changes);
        self.backend.replace_by(&other.backend);
        self.store.restore(&self.backend).unwrap();
        self.committed = self.store.revision();
        assert_eq!(self.reader.revision(), other.store.revision());
    }

    pub(crate) fn scrub(&mut self, limit: usize) -> Scrub {
        self.store.scrub(limit, &mut self.batch).unwrap()
    }
}

/// The owner's side of the hub. Every step ends with a look at what was delivered.
impl Harness {
    pub(crate) fn open(&mut self, capacity: usize, requires_leader: bool) -> usize {
        let queue = Queue::default();
        queue.set_capacity(capacity);
        let id = self.hub.open(queue.clone(), requires_leader);
        self.streams.push(Some(Stream::new(id, queue, requires_leader)));
        self.streams.len() - 1
    }

    pub(crate) fn close(&mut self, stream: usize) {
        let Some(gone) = self.streams[stream].take() else { return };
        self.hub.close(gone.id);
        assert!(gone.take_fresh().is_empty(), "a closed stream receives nothing");
        assert!(gone.queue.is_forgotten(), "the hub keeps nothing of a closed stream");
        self.check_deliveries();
    }

    /// Creates a watch and returns its id, or why there is none; `None` on a stream that is over.
    pub(crate) fn create(&mut self, stream: usize, spec: WatchSpec) -> Option<Result<WatchId, CreateError>> {
        let revision = self.position;
        let state = self.streams[stream].as_mut()?;
        self.hub.create(state.id, spec.clone());
        if state.has_ended {
            self.check_deliveries();
            return None;
        }
        let expected = state.choose_id(&spec);
        let response = match expected {
            Ok(id) => Delivery::Created { id, revision },
            Err(reason) => Delivery::Rejected { revision, reason },
        };
        state.take_response(response);
        if let Ok(id) = expected {
            let start = if spec.start == 0 { revision + 1 } else { spec.start };
            let watch =
                Watch { spec, start, received: start.saturating_sub(1), has_ended: false, is_quiet: true };
            state.watches.insert(id, watch);
        }
        self.check_deliveries();
        Some(expected)
    }

    pub(crate) fn cancel(&mut self, stream: usize, id: WatchId) {
        let Some(state) = &mut self.streams[stream] else { return };
        self.hub.cancel(state.id, id);
        if state.watches.remove(&id).is_some() {
            state.take_response(Delivery::Canceled { id, revision: self.position });
        }
        self.check_deliveries();
    }

    /// Ends the watches whose range is not kept; watches that have ended stay as they are.
    pub(crate) fn retain(&mut self, keep: impl Fn(&KeyRange) -> bool) {
        self.hub.retain(|_, range| keep(range));
        let revision = self.position;
        for stream in self.streams.iter_mut().flatten() {
            let ids: Vec<_> = stream.watches.keys().copied().collect();
            for id in ids {
                let watch = &stream.watches[&id];
                if !watch.has_ended && !keep(&watch.spec.range) {
                    stream.watches.remove(&id);
                    stream.take_response(Delivery::Revoked { id, revision });
                }
            }
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
                watch.spec.progress_notify && watch.is_quiet && !watch.has_ended,
                "unwanted progress of {id}"
            );
            self.receive_nothing(watch, revision);
            state.seen.push(delivery);
        }
        state.watches.values_mut().for_each(|watch| watch.is_quiet = true);
        self.streams[stream] = Some(state);
        self.check_deliveries();
    }

    pub(crate) fn end_all(&mut self, end: End) {
        self.hub.end_all(end);
        for stream in self.streams.iter_mut().flatten() {
            if !stream.has_ended && (stream.requires_leader || end == End::Stopped) {
                stream.take_response(Delivery::Ended(end));
                stream.has_ended = true;
                stream.watches.clear();
            }
        }
        self.check_deliveries();
    }

    /// Empties a queue.
    pub(crate) fn drain(&mut self, stream: usize) {
        let Some(stream) = &self.streams[stream] else { return };
        stream.queue.drain();
    }

    /// Resumes the stream at the hub, if there is room again and the hub does not know it.
    pub(crate) fn resume(&mut self, stream: usize) {
        let Some(stream) = &self.streams[stream] else { return };
        if stream.queue.take_was_full() {
            self.hub.resume(stream.id);
            self.check_deliveries();
        }
    }

    pub(crate) fn set_capacity(&mut self, stream: usize, capacity: usize) {
        let Some(stream) = &self.streams[stream] else { return };
        stream.queue.set_capacity(capacity);
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

    /// Takes a request for history from the hub. Returns whether there is one.
    pub(crate) fn take_request(&mut self) -> bool {
        let is_under_way = self.request.is_some() || self.response.is_some();
        let wanted = self.hub.wanted();
        let is_wanted = wanted.is_some();
        assert!(!is_under_way || !is_wanted, "one request at a time");
        self.request = wanted.or(self.request.take());
        self.check_deliveries();
        is_wanted
    }

    pub(crate) fn read(&mut self) {
        if let Some(request) = self.request.take() {
            self.response = Some(request.read(&self.reader));
        }
    }

    pub(crate) fn supply(&mut self) {
        if let Some(response) = self.response.take() {
            self.hub.supply(response).unwrap();
            self.check_deliveries();
        }
    }

    /// Does everything that can be done without draining a queue. Then every watch whose stream always had
    /// room has received everything. Returns the number of reads.
    pub(crate) fn settle(&mut self) -> usize {
        let mut n_reads = 0;
        while n_reads < 1_000 {
            self.advance();
            let n_steps = (0..10_000).take_while(|_| self.catch_up()).count();
            assert!(n_steps < 10_000, "catching up in memory comes to an end");
            self.read();
            if self.response.is_some() {
                self.supply();
                n_reads += 1;
            } else if !self.take_request() {
                self.check_rest();
                return n_reads;
            }
        }
        panic!("reading history comes to an end");
    }

    /// Empties all queues until every watch has received everything.
    pub(crate) fn finish(&mut self) {
        self.settle();
        for round in 0.. {
            assert!(round < 1_000, "watches catch up when their queues are drained");
            let mut was_full = false;
            for stream in 0..self.streams.len() {
                was_full |= self.streams[stream].as_ref().is_some_and(Stream::was_full);
                self.set_capacity(stream, 100_000);
                self.drain(stream);
                self.resume(stream);
            }
            self.settle();
            if !was_full {
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
