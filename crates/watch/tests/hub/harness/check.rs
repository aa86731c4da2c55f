//! Checks of deliveries: allowed ones, and required ones.

use bytes::Bytes;
use ferretcd_api_proto::EncodedKeyValue;
use ferretcd_api_proto::etcdserverpb::WatchResponse;
use ferretcd_api_proto::mvccpb::{Event, KeyValue, event::EventType};
use ferretcd_mvcc::{Change, ChangeKind};
use ferretcd_watch::{Counts, Delivery, WatchBatch};
use prost::Message;

use super::Harness;
use super::stream::{Stream, Watch};

impl Harness {
    pub(super) fn check_deliveries(&mut self) {
        for index in 0..self.streams.len() {
            let Some(mut stream) = self.streams[index].take() else { continue };
            for delivery in stream.take_fresh() {
                assert!(!stream.has_ended, "nothing after the end: {delivery:?}");
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
                assert!(std::mem::take(&mut stream.is_owed_progress), "unrequested progress");
                assert!(stream.live().next().is_some(), "progress of a stream without watches");
                for watch in stream.watches.values_mut().filter(|watch| !watch.has_ended) {
                    self.receive_nothing(watch, *revision);
                }
            }
            Delivery::Compacted { id, compacted } => {
                let watch = stream.watches.get_mut(id).expect("the end of a watch that exists");
                assert!(!watch.has_ended, "a watch ends once");
                assert!(*compacted <= self.reader.compacted());
                let next = watch.received + 1;
                assert!(next < *compacted, "{id} wants {next}, which is not gone at {compacted}");
                watch.has_ended = true;
            }
            delivery => panic!("an unexpected delivery: {delivery:?}"),
        }
    }

    fn check_events(&self, watch: &mut Watch, batch: &WatchBatch) {
        assert!(!watch.has_ended, "nothing after the end");
        assert!(batch.revision <= self.reader.revision());
        assert_eq!(batch.fragment, watch.spec.fragment);
        let expected = self.wanted(watch, batch.revision);
        let found = WatchResponse::decode(batch.events.as_bytes().clone()).unwrap().events;
        let (n_found, n_expected) = (found.len(), expected.len());
        assert_eq!(n_found, batch.events.len());
        for (found, change) in found.iter().zip(&expected) {
            self.check_event(found, change, watch.spec.prev_kv);
        }
        assert_eq!(n_found, n_expected, "all events of {}..={}", watch.received + 1, batch.revision);
        assert_ne!(n_found, 0, "no batch without events");
        let encoded = WatchResponse { events: found, ..WatchResponse::default() }.encode_to_vec();
        assert!(batch.events.as_bytes() == &encoded, "the encoding is the canonical one");
        watch.received = batch.revision;
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

    /// The changes up to `last` that a watch wants and has not received.
    fn wanted(&self, watch: &Watch, last: i64) -> Vec<&Change> {
        let Watch { spec, received, .. } = watch;
        let is_wanted = |change: &&Change| {
            let is_filtered = if change.kind == ChangeKind::Put { spec.no_put } else { spec.no_delete };
            (received + 1..=last).contains(&change.revision.main)
                && spec.range.contains(&change.key)
                && !is_filtered
        };
        self.changes.iter().filter(is_wanted).collect()
    }

    /// The watch learns that there was nothing up to `revision`.
    pub(super) fn receive_nothing(&self, watch: &mut Watch, revision: i64) {
        assert!(revision <= self.reader.revision());
        assert!(watch.start <= revision + 1, "a watch from {} on has no progress at {revision}", watch.start);
        let missing = self.wanted(watch, revision);
        assert!(missing.is_empty(), "progress at {revision} before {missing:?}");
        watch.received = watch.received.max(revision);
    }

    /// Nothing is left to do: every watch whose stream had room has received everything.
    pub(super) fn check_rest(&mut self) {
        assert!(!self.catch_up() && !self.take_request());
        let position = self.position;
        for index in 0..self.streams.len() {
            let Some(mut stream) = self.streams[index].take() else { continue };
            let was_full = stream.was_full();
            let mut is_waiting = false;
            for watch in stream.watches.values_mut().filter(|watch| !watch.has_ended) {
                let is_future = watch.start > position + 1;
                is_waiting |= is_future;
                if !was_full && !is_future {
                    self.receive_nothing(watch, position);
                }
            }
            assert!(was_full || is_waiting || !stream.is_owed_progress, "progress was not delivered");
            self.streams[index] = Some(stream);
        }
        if !self.streams.iter().flatten().any(Stream::was_full) {
            assert_eq!(self.hub.counts().unsynced, 0, "watches with a future start do not count as unsynced");
        }
        for index in 0..self.streams.len() {
            self.check_tick_at_rest(index);
        }
    }

    /// At rest each watch that wants progress gets it with a tick.
    fn check_tick_at_rest(&mut self, index: usize) {
        let Some(stream) = &mut self.streams[index] else { return };
        if stream.was_full() {
            return;
        }
        let wants_progress =
            |watch: &&Watch| watch.spec.progress_notify && watch.is_quiet && watch.start <= self.position + 1;
        let n_expected = stream.live().filter(wants_progress).count();
        let n_before = stream.seen.len();
        self.tick(index);
        assert_eq!(self.stream_mut(index).seen.len() - n_before, n_expected, "a tick at rest");
    }
}
