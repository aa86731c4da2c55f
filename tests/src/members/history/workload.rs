//! Clients that record responses and events.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::compare::{CompareTarget, TargetUnion};
use ferretcd_api_proto::etcdserverpb::request_op::Request;
use ferretcd_api_proto::etcdserverpb::response_op::Response;
use ferretcd_testkit::history::{Call, History, Operation, Outcome, Row};
use ferretcd_testkit::{Random, watch_history};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Status;

use super::watcher::Watcher;
use crate::Clients;
use crate::members::DEADLINE;

/// The load of some clients: each sends one request at a time, each through a random member.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The number of clients.
    pub clients: u64,
    /// The number of shared keys; they begin with [`Workload::PREFIX`].
    pub keys: u64,
    /// The seed of all random choices.
    pub seed: u64,
    /// How long a client waits for a response.
    pub patience: Duration,
    /// The pause between two requests, which spares small machines.
    pub pause: Duration,
}

impl Default for Workload {
    fn default() -> Self {
        let (patience, pause) = (Duration::from_secs(2), Duration::from_millis(4));
        Self { clients: 8, keys: 5, seed: 1, patience, pause }
    }
}

impl Workload {
    /// The prefix of all keys.
    pub const PREFIX: &str = "history/";

    /// Starts the clients, on the members at these URLs.
    pub fn begin(&self, urls: &[String]) -> Running {
        let epoch = Instant::now();
        let (progress, mut tasks) = (watch::Sender::new(Progress::default()), JoinSet::new());
        for number in 0..self.clients {
            let client = Client {
                number,
                members: urls.iter().map(|url| Clients::lazy(url, self.patience)).collect(),
                random: Random::new(self.seed.wrapping_mul(1000) + number),
                known: HashMap::new(),
                sent: 0,
                epoch,
                workload: self.clone(),
                progress: progress.clone(),
                operations: Vec::new(),
            };
            tasks.spawn(client.run());
        }
        let mut watchers = JoinSet::new();
        for first in 0..WATCHERS {
            let members = urls.iter().map(|url| Clients::lazy(url, DEADLINE)).collect();
            let mut progress = progress.subscribe();
            // The owner of the workload may be gone.
            let over = async move { drop(progress.wait_for(|progress| progress.is_over).await) };
            watchers.spawn(Watcher::new(members, first).run(over));
        }
        Running { tasks, watchers, progress }
    }
}

/// Watches of all changes.
const WATCHERS: usize = 2;

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The number of acknowledged changes.
    changes: u64,
    is_over: bool,
}

/// Running clients. Dropping it ends them.
#[derive(Debug)]
pub struct Running {
    tasks: JoinSet<Vec<Operation>>,
    watchers: JoinSet<watch_history::History>,
    progress: watch::Sender<Progress>,
}

impl Running {
    /// Waits until so many more changes are acknowledged.
    ///
    /// # Panics
    ///
    /// When they are not within [`DEADLINE`].
    pub async fn changes(&self, more: u64) {
        let enough = self.progress.borrow().changes + more;
        let mut progress = self.progress.subscribe();
        let reached = timeout(DEADLINE, progress.wait_for(|progress| progress.changes >= enough)).await;
        let reached = reached.map(|waited| waited.expect("the sender lives in self").changes);
        reached.unwrap_or_else(|_| panic!("clients get no {more} responses to changes within {DEADLINE:?}"));
    }

    /// Ends the clients, and returns their records.
    pub async fn finish(self) -> History {
        self.progress.send_modify(|progress| progress.is_over = true);
        let watches = self.watchers.join_all().await;
        History { operations: self.tasks.join_all().await.into_iter().flatten().collect(), watches }
    }
}

struct Client {
    number: u64,
    members: Vec<Clients>,
    random: Random,
    /// The revision of each row, as far as this client knows.
    known: HashMap<String, i64>,
    sent: u64,
    epoch: Instant,
    workload: Workload,
    progress: watch::Sender<Progress>,
    operations: Vec<Operation>,
}

impl Client {
    async fn run(mut self) -> Vec<Operation> {
        while !self.progress.borrow().is_over {
            let key = format!("{}{}", Workload::PREFIX, self.random.below(self.workload.keys));
            let call = self.choose(&key);
            let count = self.members.len() as u64;
            let member = usize::try_from(self.random.below(count)).expect("there are few members");
            let mut clients = self.members[member].clone();
            let sent = self.epoch.elapsed();
            // A member without a response in time may still execute the request.
            let outcome = timeout(self.workload.patience, ask(&mut clients, &key, &call)).await;
            let outcome = outcome.ok().and_then(Result::ok).unwrap_or(Outcome::Unknown);
            let received = self.epoch.elapsed();
            self.note(Operation { key, call, outcome, sent, received });
            tokio::time::sleep(self.workload.pause).await;
        }
        self.operations
    }

    fn choose(&mut self, key: &str) -> Call {
        self.sent += 1;
        let value = format!("{}-{}", self.number, self.sent);
        match self.random.below(10) {
            0..3 => Call::Put { value },
            3..6 => Call::Swap { expected: self.known.get(key).copied().unwrap_or(0), value },
            6 => Call::Delete,
            _ => Call::Read,
        }
    }

    fn note(&mut self, operation: Operation) {
        let changed = |row: &Option<Row>| row.as_ref().map_or(0, |row| row.changed);
        let now = match &operation.outcome {
            Outcome::Put(revision, _) | Outcome::Swapped(revision) => *revision,
            Outcome::Deleted(..) => 0,
            Outcome::Rejected(_, row) | Outcome::Read(_, row) => changed(row),
            Outcome::Unknown => self.known.get(&operation.key).copied().unwrap_or(0),
        };
        self.known.insert(operation.key.clone(), now);
        if operation.place().is_some_and(|(_, is_change)| is_change) {
            self.progress.send_modify(|progress| progress.changes += 1);
        }
        self.operations.push(operation);
    }
}

async fn ask(clients: &mut Clients, key: &str, call: &Call) -> Result<Outcome, Status> {
    let put = |value: &str, prev_kv| pb::PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        prev_kv,
        ..Default::default()
    };
    let range = pb::RangeRequest { key: key.to_owned().into(), ..Default::default() };
    match call {
        Call::Put { value } => {
            let response = clients.kv.put(put(value, true)).await?.into_inner();
            Ok(Outcome::Put(revision(response.header), response.prev_kv.map(|row| row_of(&row))))
        }
        Call::Swap { expected, value } => {
            let compare = pb::Compare {
                target: CompareTarget::Mod.into(),
                key: key.to_owned().into(),
                target_union: Some(TargetUnion::ModRevision(*expected)),
                ..Default::default()
            };
            let operation = |request| vec![pb::RequestOp { request: Some(request) }];
            let txn = pb::TxnRequest {
                compare: vec![compare],
                success: operation(Request::RequestPut(put(value, false))),
                failure: operation(Request::RequestRange(range)),
            };
            let response = clients.kv.txn(txn).await?.into_inner();
            let revision = revision(response.header);
            match response.responses.into_iter().next().and_then(|response| response.response) {
                Some(Response::ResponseRange(range)) if !response.succeeded => {
                    Ok(Outcome::Rejected(revision, range.kvs.first().map(row_of)))
                }
                Some(Response::ResponsePut(_)) if response.succeeded => Ok(Outcome::Swapped(revision)),
                other => {
                    panic!("a transaction (succeeded: {}) has the response {other:?}", response.succeeded)
                }
            }
        }
        Call::Delete => {
            let delete =
                pb::DeleteRangeRequest { key: key.to_owned().into(), prev_kv: true, ..Default::default() };
            let response = clients.kv.delete_range(delete).await?.into_inner();
            Ok(Outcome::Deleted(revision(response.header), response.prev_kvs.first().map(row_of)))
        }
        Call::Read => {
            let response = clients.kv.range(range).await?.into_inner();
            Ok(Outcome::Read(revision(response.header), response.kvs.first().map(row_of)))
        }
    }
}

fn revision(header: Option<pb::ResponseHeader>) -> i64 {
    header.expect("every response has a header").revision
}

fn row_of(row: &ferretcd_api_proto::EncodedKeyValue) -> Row {
    let row = row.decode().expect("a row can be decoded");
    Row { value: String::from_utf8_lossy(&row.value).into_owned(), changed: row.mod_revision }
}
