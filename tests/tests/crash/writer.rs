//! A client that writes keys of its own, so that it knows their expected values.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::compare::{CompareTarget, TargetUnion};
use ferretcd_api_proto::etcdserverpb::request_op::Request;
use ferretcd_testkit::Random;
use ferretcd_tests::Clients;
use tokio::sync::Notify;
use tonic::Status;

use super::ledger::Ledger;
use super::rows::{Change, Rows, read};

/// The number of keys written one at a time, and of keys written all together.
const SINGLES: u64 = 8;
const GROUP: u64 = 4;

/// The progress of a round's load.
#[derive(Debug)]
pub(crate) struct Load {
    target: u64,
    acknowledged: AtomicU64,
    over: AtomicBool,
    reached: Notify,
    /// Notified now and then, to pace the tasks beside the writers.
    beat: Notify,
}

/// Responses between two beats.
const BEAT: u64 = 16;

impl Load {
    pub(crate) fn new(target: u64) -> Self {
        Self {
            target,
            acknowledged: AtomicU64::new(0),
            over: AtomicBool::new(false),
            reached: Notify::new(),
            beat: Notify::new(),
        }
    }

    pub(crate) fn count(&self) {
        let acknowledged = self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1;
        if acknowledged == self.target {
            self.over.store(true, Ordering::SeqCst);
            self.reached.notify_one();
        }
        if acknowledged == self.target || acknowledged.is_multiple_of(BEAT) {
            self.beat.notify_one();
        }
    }

    /// Waits for the response that ends the load. The writers go on until the server is killed.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Waits for the next beat; the last one comes with the end of the load.
    pub(crate) async fn beat(&self) {
        self.beat.notified().await;
    }

    /// Whether errors are expected.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// A client and its knowledge.
#[derive(Debug)]
pub(crate) struct Writer {
    index: usize,
    random: Random,
    /// Counts requests, so that no value is ever written twice.
    sent: u64,
    /// The rows of the prefix according to the responses.
    rows: Rows,
    /// The revision of the last response.
    revision: i64,
    /// Sent, without a response when the server was killed.
    pending: Option<Change>,
}

impl Writer {
    pub(crate) fn new(index: usize, seed: u64) -> Self {
        Self { index, random: Random::new(seed), sent: 0, rows: Rows::new(), revision: 0, pending: None }
    }

    fn prefix(index: usize) -> String {
        format!("writer{index}/")
    }

    /// Writes until the server is killed. An error before that is a failure.
    pub(crate) async fn run(mut self, mut clients: Clients, ledger: &Ledger, load: &Load) -> Self {
        loop {
            let step = match self.random.below(10) {
                0 => self.look_at_another(&mut clients, ledger).await,
                _ => self.change(&mut clients, ledger).await,
            };
            match step {
                Ok(()) => load.count(),
                Err(status) => {
                    assert!(load.is_over(), "{ledger}: writer {}: {status}", self.index);
                    return self;
                }
            }
        }
    }

    /// Reads the keys of another writer. What a read returns is committed, and the ledger keeps it.
    async fn look_at_another(&mut self, clients: &mut Clients, ledger: &Ledger) -> Result<(), Status> {
        let other = usize::try_from(self.random.below(super::WRITERS as u64)).expect("a small number");
        let prefix = Self::prefix(other);
        let (revision, rows) = read(clients, &prefix, 0).await?;
        ledger.saw(&prefix, revision, rows);
        Ok(())
    }

    async fn change(&mut self, clients: &mut Clients, ledger: &Ledger) -> Result<(), Status> {
        let kind = self.random.below(10);
        let change = self.choose(kind);
        self.pending = Some(change.clone());
        let revision = match kind {
            0..5 => self.put(clients, &change, ledger).await?,
            5..7 => self.delete(clients, &change, ledger).await?,
            _ => self.txn(clients, &change, ledger).await?,
        };
        self.pending = None;
        assert!(revision >= self.revision, "{ledger}: revision {revision} after {}", self.revision);
        let rows = change.applied_to(&self.rows, revision);
        if rows != self.rows {
            assert!(revision > self.revision, "{ledger}: revision {revision} for two changes");
            ledger.acknowledged(revision, &format!("{change:?}"), &change, &Self::prefix(self.index), &rows);
        }
        self.rows = rows;
        self.revision = revision;
        Ok(())
    }

    fn key(&self, kind: &str, number: u64) -> Bytes {
        format!("{}{kind}{number}", Self::prefix(self.index)).into()
    }

    fn choose(&mut self, kind: u64) -> Change {
        let number = self.random.below(SINGLES);
        let single = self.key("single", number);
        self.sent += 1;
        // Sizes from a few bytes to some pages, so that log records end at any offset.
        let size = if self.random.below(20) == 0 { 20_000 } else { self.random.below(400) };
        let value = format!(
            "{}-{}-{:.>size$}",
            self.index,
            self.sent,
            "",
            size = usize::try_from(size).expect("small")
        );
        match kind {
            0..5 => Change { puts: vec![(single, value.into())], deletes: Vec::new() },
            5..7 => Change { puts: Vec::new(), deletes: vec![single] },
            _ => Change {
                puts: (0..GROUP).map(|number| (self.key("group", number), value.clone().into())).collect(),
                deletes: vec![single],
            },
        }
    }

    async fn put(&self, clients: &mut Clients, change: &Change, ledger: &Ledger) -> Result<i64, Status> {
        let (key, value) = change.puts[0].clone();
        let put = pb::PutRequest { key: key.clone(), value, prev_kv: true, ..Default::default() };
        let response = clients.kv.put(put).await?.into_inner();
        let previous = response.prev_kv.map(|row| row.decode().expect("a row can be decoded"));
        assert_eq!(previous.as_ref(), self.rows.get(&key), "{ledger}: row before a put");
        Ok(response.header.expect("every response has a header").revision)
    }

    async fn delete(&self, clients: &mut Clients, change: &Change, ledger: &Ledger) -> Result<i64, Status> {
        let key = change.deletes[0].clone();
        let there = i64::from(self.rows.contains_key(&key));
        let delete = pb::DeleteRangeRequest { key, ..Default::default() };
        let response = clients.kv.delete_range(delete).await?.into_inner();
        assert_eq!(response.deleted, there, "{ledger}: keys found by a delete");
        Ok(response.header.expect("every response has a header").revision)
    }

    /// Changes several keys on the condition that the store has the rows that this client expects.
    async fn txn(&self, clients: &mut Clients, change: &Change, ledger: &Ledger) -> Result<i64, Status> {
        let compare = change.puts.iter().map(|(key, _)| pb::Compare {
            target: CompareTarget::Mod.into(),
            key: key.clone(),
            target_union: Some(TargetUnion::ModRevision(
                self.rows.get(key).map_or(0, |row| row.mod_revision),
            )),
            ..Default::default()
        });
        let puts = change.puts.iter().map(|(key, value)| {
            Request::RequestPut(pb::PutRequest {
                key: key.clone(),
                value: value.clone(),
                ..Default::default()
            })
        });
        let deletes = change.deletes.iter().map(|key| {
            Request::RequestDeleteRange(pb::DeleteRangeRequest { key: key.clone(), ..Default::default() })
        });
        let operations = puts.chain(deletes).map(|request| pb::RequestOp { request: Some(request) });
        let txn =
            pb::TxnRequest { compare: compare.collect(), success: operations.collect(), failure: Vec::new() };
        let response = clients.kv.txn(txn).await?.into_inner();
        assert!(response.succeeded, "{ledger}: another client wrote {change:?}");
        Ok(response.header.expect("every response has a header").revision)
    }

    /// Compares the store after a restart with the responses.
    pub(crate) async fn verify(&mut self, clients: &mut Clients, ledger: &Ledger) {
        let prefix = Self::prefix(self.index);
        let (revision, found) = read(clients, &prefix, 0).await.expect("a ready server responses reads");
        assert!(
            revision >= self.revision,
            "{ledger}: revision {revision}, acknowledged was {}",
            self.revision
        );
        if found == self.rows {
            self.pending = None;
        } else if let Some(change) = self.pending.take() {
            // A change without a response may have taken effect, but then as a whole.
            let at = change.revision_in(&found).unwrap_or(revision);
            assert_eq!(found, change.applied_to(&self.rows, at), "{ledger}: half of {change:?}");
            if change.revision_in(&found).is_some() {
                assert!(at > self.revision, "{ledger}: {change:?} at {at}, below {}", self.revision);
                ledger.acknowledged(at, "unacknowledged", &change, &prefix, &found);
            }
            self.rows = found.clone();
        } else {
            assert_eq!(found, self.rows, "{ledger}: writer {}", self.index);
        }
        ledger.saw(&prefix, revision, found);
        self.revision = revision;
    }
}
