//! The only writer.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::request_op::Request;
use ferretcd_testkit::Random;
use ferretcd_testkit::watch_history::{Operation, Record};
use ferretcd_tests::Clients;
use tokio::sync::watch;
use tonic::Status;

use super::Course;

/// Keys are a letter and a digit.
pub(super) const LETTERS: &[u8] = b"abc";
const DIGITS: u64 = 8;

#[derive(Debug)]
pub(super) struct Writer {
    random: Random,
    clients: Clients,
    pub(super) record: Record,
    /// Sent, without a response when the server ended.
    pending: Option<Vec<Operation>>,
    /// Makes every value different.
    sent: u64,
}

impl Writer {
    /// A writer on an empty store.
    pub(super) fn new(seed: u64, clients: Clients) -> Self {
        Self { random: Random::new(seed), clients, record: Record::new(1), pending: None, sent: 0 }
    }

    /// Makes so many changes, and publishes the progress.
    pub(super) async fn write(&mut self, changes: usize, course: &watch::Sender<Course>) {
        for _ in 0..changes {
            self.step().await.unwrap_or_else(|status| panic!("failed to write: {status}"));
            course.send_modify(|course| course.revision = self.record.revision());
        }
    }

    /// Makes changes until the server is down.
    pub(super) async fn write_until_rejected(&mut self) {
        while self.step().await.is_ok() {}
    }

    /// Continues with a restarted server, and finds out whether the last change took effect.
    pub(super) async fn reconnect(&mut self, clients: Clients) {
        self.clients = clients;
        let any = pb::RangeRequest { key: "any".into(), ..Default::default() };
        let response = self.clients.kv.range(any).await.expect("a ready server responses reads").into_inner();
        let revision = response.header.expect("a range has a header").revision;
        if let Some(operations) = self.pending.take()
            && revision > self.record.revision()
        {
            self.record.apply(&operations);
        }
        assert_eq!(self.record.revision(), revision, "what was answered is kept, and nothing else is added");
    }

    async fn step(&mut self) -> Result<(), Status> {
        if self.random.below(40) == 0 {
            let back = i64::try_from(self.random.below(100)).expect("below 100");
            let revision = self.record.revision() - 20 - back;
            if revision > self.record.compacted().max(1) {
                self.record.compact(revision);
                let physical = self.random.below(2) == 0;
                self.clients.kv.compact(pb::CompactionRequest { revision, physical }).await?;
            }
            return Ok(());
        }
        let operations = self.operations();
        self.pending = Some(operations.clone());
        let revision = self.send(&operations).await?;
        self.pending = None;
        self.record.apply(&operations);
        assert_eq!(self.record.revision(), revision, "{operations:?}");
        Ok(())
    }

    fn operations(&mut self) -> Vec<Operation> {
        match self.random.below(20) {
            0..9 => vec![self.put(0)],
            9..12 => vec![self.delete(0)],
            // All keys of a letter, or from some key of it on.
            12 => vec![Operation::Delete(Bytes::from_static(b"b"), Bytes::from_static(b"c"))],
            13 => vec![Operation::Delete(self.key(1), Bytes::from_static(b"b9"))],
            // Each on another letter, so that no key is changed twice.
            _ => (0..2 + self.random.below(2))
                .map(|letter| if self.random.below(4) == 0 { self.delete(letter) } else { self.put(letter) })
                .collect(),
        }
    }

    fn key(&mut self, letter: u64) -> Bytes {
        let letter = LETTERS[usize::try_from(letter).expect("few letters")];
        let digit = b'0' + u8::try_from(self.random.below(DIGITS)).expect("a digit");
        Bytes::copy_from_slice(&[letter, digit])
    }

    fn put(&mut self, letter: u64) -> Operation {
        self.sent += 1;
        let mut value = self.sent.to_string().into_bytes();
        if self.random.below(2) == 0 {
            // Large enough that readers fall behind.
            value.resize(8192, b'v');
        }
        Operation::Put(self.key(letter), value.into())
    }

    fn delete(&mut self, letter: u64) -> Operation {
        Operation::Delete(self.key(letter), Bytes::new())
    }

    async fn send(&mut self, operations: &[Operation]) -> Result<i64, Status> {
        let kv = &mut self.clients.kv;
        let header = match operations {
            [Operation::Put(..)] => {
                let Request::RequestPut(put) = request(&operations[0]) else { unreachable!("it is a put") };
                kv.put(put).await?.into_inner().header
            }
            [Operation::Delete(..)] => {
                let Request::RequestDeleteRange(delete) = request(&operations[0]) else {
                    unreachable!("it is a delete")
                };
                kv.delete_range(delete).await?.into_inner().header
            }
            several => {
                let success =
                    several.iter().map(|one| pb::RequestOp { request: Some(request(one)) }).collect();
                kv.txn(pb::TxnRequest { success, ..Default::default() }).await?.into_inner().header
            }
        };
        Ok(header.expect("every response has a header").revision)
    }
}

fn request(operation: &Operation) -> Request {
    match operation.clone() {
        Operation::Put(key, value) => {
            Request::RequestPut(pb::PutRequest { key, value, ..Default::default() })
        }
        Operation::Delete(key, range_end) => {
            Request::RequestDeleteRange(pb::DeleteRangeRequest { key, range_end, prev_kv: false })
        }
    }
}
