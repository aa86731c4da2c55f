//! Deliveries of the hub as encoded responses.
//!
//! ```text
//! | 0 | length: 4, big endian | header, id, flags | event | event | ...
//! |<- prefix of a message -->|<- head: protobuf ->|<- blocks of the hub ->
//! ```
//!
//! Events are the last field of a response, so the blocks that the hub has encoded stand behind the head as
//! they are.

use bytes::{BufMut, Bytes};
use ferretcd_api_proto::errors::Error;
use ferretcd_api_proto::etcdserverpb::{ResponseHeader, WatchResponse};
use ferretcd_watch::{Delivery, WatchBatch};
use prost::Message;
use prost::encoding::decode_varint;
use tonic::Status;

use super::metrics::Sent;
use super::send_queue::SendQueue;
use crate::library_errors;
use crate::status::{cancel_reason, status};

/// The id in responses that do not concern one watch.
const NO_WATCH: i64 = -1;
/// Bytes of a response beside its events, about.
const HEAD_BYTES: usize = 64;
/// The largest message whose length other implementations of the protocol can count.
const MESSAGE_BYTES_MAX: usize = i32::MAX as usize;

/// Writes responses to one client.
#[derive(Debug)]
pub(super) struct Responses<'a> {
    pub(super) out: &'a mut SendQueue,
    /// The member's; each response sets its revision.
    pub(super) header: ResponseHeader,
    /// A response that reaches this size is sent in fragments, if the watch allows it.
    pub(super) fragment_bytes: usize,
    pub(super) sent: Sent,
}

impl Responses<'_> {
    /// Writes the deliveries of a stream, in order; batches of a watch that follow one another become one
    /// response. An error ends the stream, behind what was written before.
    pub(super) fn write_all(&mut self, deliveries: &[Delivery]) -> Result<(), Status> {
        let bytes = |delivery| HEAD_BYTES + batch(delivery).map_or(0, |batch| batch.events.as_bytes().len());
        self.out.reserve(deliveries.iter().map(bytes).sum());
        let is_same_watch = |a: &Delivery, b: &Delivery| match (batch(a), batch(b)) {
            (Some(a), Some(b)) => a.id == b.id,
            _ => false,
        };
        deliveries.chunk_by(is_same_watch).try_for_each(|run| match &run[0] {
            Delivery::Events(_) => self.write_events(run.iter().filter_map(batch)),
            Delivery::Ended(end) => Err(status(*end)),
            other => self.write_control(other),
        })
    }

    /// A creation that was rejected before the hub saw it.
    pub(super) fn write_rejection(&mut self, revision: i64, reason: &str) -> Result<(), Status> {
        self.sent.controls += 1;
        let created = WatchResponse { created: true, canceled: true, ..self.head(NO_WATCH, revision) };
        let rejected = WatchResponse { cancel_reason: reason.to_owned(), ..created };
        self.write(&rejected, std::iter::empty())
    }

    fn write_control(&mut self, delivery: &Delivery) -> Result<(), Status> {
        let head = match *delivery {
            Delivery::Created { id, revision } => WatchResponse { created: true, ..self.head(id, revision) },
            Delivery::Rejected { revision, reason } => {
                return self.write_rejection(revision, cancel_reason(reason).message());
            }
            Delivery::Progress { id, revision } => self.head(id.unwrap_or(NO_WATCH), revision),
            Delivery::Canceled { id, revision } => {
                WatchResponse { canceled: true, ..self.head(id, revision) }
            }
            Delivery::Revoked { id, revision } => {
                let canceled = WatchResponse { canceled: true, ..self.head(id, revision) };
                // Clients know the plain text. A creation is rejected with another one, as in etcd.
                WatchResponse { cancel_reason: Error::PermissionDenied.message().to_owned(), ..canceled }
            }
            // Without a revision, as etcd has it.
            Delivery::Compacted { id, compacted } => {
                WatchResponse { canceled: true, compact_revision: compacted, ..self.head(id, 0) }
            }
            Delivery::Events(_) | Delivery::Ended(_) => unreachable!("the caller handles these"),
        };
        match delivery {
            Delivery::Progress { id: Some(_), .. } => self.sent.progresses += 1,
            _ => self.sent.controls += 1,
        }
        self.write(&head, std::iter::empty())
    }

    /// Writes batches of one watch, at least one.
    fn write_events<'b>(
        &mut self,
        batches: impl DoubleEndedIterator<Item = &'b WatchBatch> + Clone,
    ) -> Result<(), Status> {
        let last = batches.clone().next_back().expect("a run is not empty");
        let head = self.head(last.id, last.revision);
        let n_events: usize = batches.clone().map(|batch| batch.events.len()).sum();
        self.sent.events += n_events;
        let blocks = batches.map(|batch| batch.events.as_bytes());
        if last.fragment && n_events > 1 && message_bytes(&head, blocks.clone()) >= self.fragment_bytes {
            let events: Vec<Bytes> = blocks.flat_map(split).collect();
            return self.write_fragments(&head, &events);
        }
        self.write(&head, blocks)
    }

    /// Writes as many events in one part as fit, but at least one. All parts but the last are marked as fragments.
    fn write_fragments(&mut self, head: &WatchResponse, mut events: &[Bytes]) -> Result<(), Status> {
        while !events.is_empty() {
            let head = WatchResponse { fragment: true, ..head.clone() };
            let mut bytes = head.encoded_len();
            let fits = |event: &&Bytes| {
                bytes += event.len();
                bytes < self.fragment_bytes
            };
            let n_fitting = events.iter().take_while(fits).count();
            let (part, rest) = events.split_at(n_fitting.max(1));
            self.write(&WatchResponse { fragment: !rest.is_empty(), ..head }, part.iter())?;
            events = rest;
        }
        Ok(())
    }

    fn head(&self, watch_id: i64, revision: i64) -> WatchResponse {
        let header = Some(ResponseHeader { revision, ..self.header });
        WatchResponse { header, watch_id, ..WatchResponse::default() }
    }

    fn write<'b>(
        &mut self,
        head: &WatchResponse,
        blocks: impl Iterator<Item = &'b Bytes> + Clone,
    ) -> Result<(), Status> {
        let bytes = message_bytes(head, blocks.clone());
        if bytes > MESSAGE_BYTES_MAX {
            return Err(library_errors::too_large_to_send(bytes, MESSAGE_BYTES_MAX));
        }
        let buffer = self.out.buffer();
        buffer.put_u8(0);
        buffer.put_u32(bytes as u32);
        head.encode(buffer).expect("the buffer grows");
        blocks.for_each(|block| self.out.push(block));
        Ok(())
    }
}

fn batch(delivery: &Delivery) -> Option<&WatchBatch> {
    match delivery {
        Delivery::Events(batch) => Some(batch),
        _ => None,
    }
}

fn message_bytes<'b>(head: &WatchResponse, blocks: impl Iterator<Item = &'b Bytes>) -> usize {
    head.encoded_len() + blocks.map(Bytes::len).sum::<usize>()
}

/// The events of a block, each with its tag and length.
fn split(block: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut rest = block.clone();
    std::iter::from_fn(move || {
        let mut body = rest.get(1..)?;
        let len = decode_varint(&mut body).expect("the hub has encoded it") as usize;
        let prefix = rest.len() - body.len();
        Some(rest.split_to(prefix + len))
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use bytes::Buf;
    use ferretcd_backend::{Backend, Batch};
    use ferretcd_base::{KeyRange, LeaseId};
    use ferretcd_watch::{CreateError, End, Hub, Outlet, WatchSpec};

    use super::*;

    #[derive(Clone, Default)]
    struct Queue(Rc<RefCell<Vec<Delivery>>>);

    impl Outlet for Queue {
        fn has_room(&mut self) -> bool {
            true
        }

        fn deliver(&mut self, delivery: Delivery) {
            self.0.borrow_mut().push(delivery);
        }
    }

    /// The deliveries to two watches of all keys for some transactions, with so many events in each.
    fn deliveries(transactions: &[usize], value_bytes: usize, fragment: bool) -> Vec<Delivery> {
        let config = ferretcd_mvcc::Config { cache_bytes: 1 << 20 };
        let mut store = ferretcd_mvcc::Store::open(Backend::in_memory(), &config).expect("an empty backend");
        let mut hub = Hub::new(store.reader());
        let queue = Queue::default();
        let stream = hub.open(queue.clone(), false);
        for id in [1, 2] {
            hub.create(stream, WatchSpec { id, fragment, ..WatchSpec::new(KeyRange::all()) });
        }
        for n_events in transactions {
            let mut batch = Batch::default();
            let mut txn = store.write(&mut batch);
            for index in 0..*n_events {
                txn.put(format!("k{index}").into(), vec![b'v'; value_bytes].into(), LeaseId::NONE);
            }
            txn.commit();
            hub.advance().expect("everything is in memory");
        }
        queue.0.take()
    }

    fn header() -> ResponseHeader {
        ResponseHeader { cluster_id: u64::MAX, member_id: 1, revision: 0, raft_term: 2 }
    }

    /// The responses to deliveries; each is checked to be encoded as protobuf would.
    fn written(deliveries: &[Delivery], fragment_bytes: usize) -> (Vec<WatchResponse>, Result<(), Status>) {
        let mut out = SendQueue::default();
        let mut responses =
            Responses { out: &mut out, header: header(), fragment_bytes, sent: Sent::default() };
        let result = responses.write_all(deliveries);
        let mut bytes = Bytes::from(std::iter::from_fn(|| out.pop()).collect::<Vec<_>>().concat());
        let mut responses = Vec::new();
        while bytes.has_remaining() {
            assert_eq!(bytes.get_u8(), 0);
            let len = bytes.get_u32() as usize;
            let message = bytes.split_to(len);
            let response = WatchResponse::decode(message.clone()).expect("a response");
            assert_eq!(response.encode_to_vec(), message);
            responses.push(response);
        }
        (responses, result)
    }

    #[test]
    fn batches_in_a_row_are_one_response() {
        for value_bytes in [3, 20_000] {
            let mut deliveries = deliveries(&[1, 2], value_bytes, false);
            let created = deliveries.drain(..2).collect::<Vec<_>>();
            // In the order in which they come, and ordered by watch.
            let (apart, _) = written(&deliveries, usize::MAX);
            assert_eq!(
                apart.iter().map(|r| (r.watch_id, r.events.len())).collect::<Vec<_>>(),
                [(1, 1), (2, 1), (1, 2), (2, 2)]
            );
            deliveries.sort_by_key(|delivery| batch(delivery).map(|batch| batch.id));
            deliveries.insert(2, created[0].clone());
            let (merged, _) = written(&deliveries, usize::MAX);
            let revision = |response: &WatchResponse| response.header.expect("all have one").revision;
            assert_eq!(
                merged.iter().map(|r| (r.watch_id, r.events.len(), revision(r))).collect::<Vec<_>>(),
                [(1, 3, 3), (1, 0, 1), (2, 3, 3)]
            );
            let events = |responses: &[WatchResponse], id| -> Vec<_> {
                responses.iter().filter(|r| r.watch_id == id).flat_map(|r| r.events.clone()).collect()
            };
            assert_eq!(events(&merged, 1), events(&apart, 1));
        }
    }

    #[test]
    fn fragments_are_as_large_as_they_may_be() {
        let check = |fragment_bytes: usize, expected: &[usize]| {
            let deliveries = &deliveries(&[5], 1000, true)[2..3];
            let (parts, _) = written(deliveries, fragment_bytes);
            let sizes: Vec<_> = parts.iter().map(|part| part.events.len()).collect();
            assert_eq!(sizes, expected, "{fragment_bytes}");
            let (last, before) = parts.split_last().expect("there is a response");
            assert!(!last.fragment && before.iter().all(|part| part.fragment));
            assert!(parts.iter().all(|part| part.encoded_len() < fragment_bytes || part.events.len() == 1));
        };
        let (whole, _) = written(&deliveries(&[5], 1000, true)[2..3], usize::MAX);
        let bytes = whole[0].encoded_len();
        check(bytes + 1, &[5]);
        check(bytes, &[4, 1]);
        check(bytes / 2, &[2, 2, 1]);
        check(100, &[1; 5]);
        let (one, _) = written(&deliveries(&[1], 1000, true)[2..3], 100);
        assert!(!one[0].fragment);
    }

    #[test]
    fn control_responses_have_etcds_form() {
        let check = |delivery: Delivery, expected: WatchResponse| {
            assert_eq!(written(&[delivery], usize::MAX).0, [expected]);
        };
        let response = |watch_id, revision| WatchResponse {
            header: Some(ResponseHeader { revision, ..header() }),
            watch_id,
            ..WatchResponse::default()
        };
        let (id, revision) = (-3, 7);
        check(Delivery::Created { id, revision }, WatchResponse { created: true, ..response(id, revision) });
        check(
            Delivery::Canceled { id, revision },
            WatchResponse { canceled: true, ..response(id, revision) },
        );
        check(Delivery::Progress { id: Some(id), revision }, response(id, revision));
        check(Delivery::Progress { id: None, revision }, response(-1, revision));
        let compacted = WatchResponse { canceled: true, compact_revision: 9, ..response(id, 0) };
        check(Delivery::Compacted { id, compacted: 9 }, compacted);
        for (reason, text) in [
            (CreateError::EmptyRange, "mvcc: watcher range is empty"),
            (CreateError::DuplicateId, "mvcc: duplicate watch ID provided on the WatchStream"),
        ] {
            let created = WatchResponse { created: true, canceled: true, ..response(-1, revision) };
            let rejected = WatchResponse { cancel_reason: text.to_owned(), ..created };
            check(Delivery::Rejected { revision, reason }, rejected);
        }
    }

    #[test]
    fn end_comes_behind_earlier_deliveries() {
        let deliveries = [Delivery::Canceled { id: 1, revision: 2 }, Delivery::Ended(End::NoLeader)];
        let (responses, result) = written(&deliveries, usize::MAX);
        assert!(responses.len() == 1 && responses[0].canceled);
        assert_eq!(result.expect_err("the stream ends").message(), "etcdserver: no leader");
    }
}
