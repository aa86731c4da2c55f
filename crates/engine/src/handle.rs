//! The member's surface: requests as futures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, CompactionRequest, CompactionResponse, DeleteRangeRequest,
    DeleteRangeResponse, PutRequest, PutResponse, ResponseHeader, TxnRequest, TxnResponse,
};
use ferretcd_apply::{Alarm, ApplyError, Command, Request, Response};
use ferretcd_backend::Backend;
use ferretcd_base::{ClusterId, MemberId};
use ferretcd_data_dir::{DataDir, ReceivedSnapshots};
use ferretcd_membership::Membership;
use ferretcd_mvcc::{KvHash, Reader};
use ferretcd_raft_node::{Message, NodeHandle, Proposal};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::flusher::Flusher;
use crate::ids::RequestIds;
use crate::inbox::Inbox;
use crate::lease::Lessor;
use crate::metrics::Metrics;
use crate::quota::Quota;
use crate::read::blocking;
use crate::replies::{ReadRounds, Reply};
use crate::shared::{Shared, Versions};
use crate::start::Threads;
use crate::submit::Submissions;
use crate::waiters::Waiters;
use crate::watch::Watching;
use crate::{Config, Peers, RequestError};

/// Entries that may wait to be applied before proposals are refused.
const BACKLOG_MAX: u64 = 5000;

/// A handle of one member. Clones are cheap and refer to the same member.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) ids: RequestIds,
    pub(crate) node: NodeHandle,
    pub(crate) submissions: Arc<Submissions>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) watching: Arc<Watching>,
    pub(crate) lessor: Arc<Lessor>,
    pub(crate) read_rounds: Arc<ReadRounds>,
    pub(crate) flusher: Flusher,
    pub(crate) shared: Arc<Shared>,
    pub(crate) reader: Reader,
    pub(crate) backend: Backend,
    pub(crate) received: ReceivedSnapshots,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) quota: Quota,
    pub(crate) metrics: Arc<Metrics>,
    /// What goes on in the background; each holds the member.
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Taken by the one who stops the member.
    pub(crate) threads: Mutex<Option<Threads>>,
    /// Keeps others out of the directory. The last field, so that everything else is closed when it goes.
    pub(crate) _data_dir: DataDir,
}

/// Where the member stands in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Who leads, if anybody is known to.
    pub leader: Option<MemberId>,
    /// The current term.
    pub term: u64,
    /// Index of the last entry known to be committed.
    pub committed: u64,
    /// Index of the last entry that was applied.
    pub applied: u64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("member_id", &self.member_id()).finish_non_exhaustive()
    }
}

/// Requests of the key space. Answers come with their header.
impl Engine {
    /// Writes one key. Durable on return.
    pub async fn put(&self, request: PutRequest) -> Result<PutResponse, RequestError> {
        let reply = self.propose(Request::Put(request)).await?;
        let Response::Put(mut response) = reply.response else { unreachable!("puts are answered as puts") };
        response.header = Some(self.header(reply.revision));
        Ok(response)
    }

    /// Deletes the keys of a range. Durable on return.
    pub async fn delete_range(
        &self,
        request: DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, RequestError> {
        let reply = self.propose(Request::DeleteRange(request)).await?;
        let Response::DeleteRange(mut response) = reply.response else {
            unreachable!("deletes are answered as deletes")
        };
        response.header = Some(self.header(reply.revision));
        Ok(response)
    }

    /// Executes a transaction. One that only reads never enters the log; others are durable on return.
    pub async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, RequestError> {
        if ferretcd_apply::is_read_only(&request) {
            return self.read_txn(request).await;
        }
        let reply = self.propose(Request::Txn(request)).await?;
        let Response::Txn(mut response) = reply.response else { unreachable!("txns are answered as txns") };
        response.header = Some(self.header(reply.revision));
        Ok(response)
    }

    /// Drops history up to a revision. Returns when that is decided, or, for a physical compaction, when the
    /// rows are gone from the state file.
    pub async fn compact(&self, request: CompactionRequest) -> Result<CompactionResponse, RequestError> {
        let reply = self.propose(Request::Compaction(request)).await?;
        Ok(CompactionResponse { header: Some(self.header(reply.revision)) })
    }
}

/// Upkeep.
impl Engine {
    /// Lists, raises or takes back alarms.
    pub async fn alarm(&self, request: AlarmRequest) -> Result<AlarmResponse, RequestError> {
        let reply = self.propose(Request::Alarm(request)).await?;
        let Response::Alarm(alarms) = reply.response else { unreachable!("alarms are answered as alarms") };
        let alarms = alarms.into_iter().map(Alarm::to_message).collect();
        Ok(AlarmResponse { header: Some(self.header(reply.revision)), alarms })
    }

    /// The hash of the key space up to `revision` (0 for the newest); reads the whole of it.
    pub async fn hash_kv(&self, revision: i64) -> Result<KvHash, RequestError> {
        // Rows of later revisions may not be in the state file when it is read.
        let newest = self.0.reader.revision();
        if revision > newest {
            return Err(ApplyError::Future { requested: revision, current: newest }.into());
        }
        self.flush().await?;
        let reader = self.0.reader.clone();
        let hash = move || match revision {
            0 => reader.compute_hash_kv(newest),
            _ => reader.hash_kv(revision),
        };
        let timer = self.metrics().hash_kv.start_timer();
        let hash = blocking(move || Ok(hash()?)).await;
        timer.observe_duration();
        hash
    }

    /// The hash of the whole state file; reads the whole of it.
    pub async fn hash(&self) -> Result<u32, RequestError> {
        self.flush().await?;
        let view = self.0.backend.view();
        let fault = |error| RequestError::Apply(ApplyError::from(ferretcd_mvcc::ReadError::from(error)));
        let timer = self.metrics().hash.start_timer();
        let hash = blocking(move || ferretcd_apply::backend_hash(&view).map_err(fault)).await;
        timer.observe_duration();
        hash
    }

    /// Waits until everything applied so far is durable in the state file.
    pub async fn flush(&self) -> Result<(), RequestError> {
        self.0.flusher.flush().await.map_err(|_| RequestError::Stopped)
    }

    /// Waits until the member cannot go on and tells why. Never returns while it can.
    pub async fn failed(&self) -> String {
        let mut failure = self.0.shared.failure.subscribe();
        let reason = failure.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }
}

/// Facts about the member. All cheap, none waits.
impl Engine {
    /// What it was started with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Its id.
    pub fn member_id(&self) -> MemberId {
        self.0.shared.member_id
    }

    /// The id of its cluster.
    pub fn cluster_id(&self) -> ClusterId {
        self.0.shared.cluster_id
    }

    /// Where it stands in its group.
    pub fn status(&self) -> Status {
        let status = self.0.node.status();
        Status {
            leader: (status.leader != MemberId::default()).then_some(status.leader),
            term: status.term,
            committed: status.committed,
            applied: self.0.read_rounds.applied_index(),
        }
    }

    /// Whether it leads.
    pub fn is_leader(&self) -> bool {
        self.0.node.status().leader == self.member_id()
    }

    /// Whether it replicates without a vote.
    pub fn is_learner(&self) -> bool {
        self.membership().member(self.member_id()).is_some_and(|member| member.is_learner)
    }

    /// The members as this one knows them.
    pub fn membership(&self) -> Arc<Membership> {
        self.0.shared.membership.load_full()
    }

    /// The active alarms as this member knows them.
    pub fn alarms(&self) -> Arc<Vec<Alarm>> {
        self.0.shared.alarms.load_full()
    }

    /// Versions of cluster and storage.
    pub fn versions(&self) -> Versions {
        self.0.shared.versions()
    }

    /// Reads of the key space as it is on this member.
    pub fn reader(&self) -> &Reader {
        &self.0.reader
    }

    /// Size of the state file.
    pub fn db_size(&self) -> ferretcd_backend::Size {
        self.0.backend.size()
    }

    /// The quota in force, in bytes; negative for none.
    pub fn quota_bytes(&self) -> i64 {
        self.0.quota.limit()
    }

    /// Bytes that the quota leaves; `None` for no limit.
    pub fn quota_room(&self) -> Option<u64> {
        self.0.quota.room()
    }

    /// Whether the quota admits a request that is reckoned to add `cost` bytes.
    pub fn admits(&self, cost: u64) -> bool {
        self.0.quota.admits(cost)
    }

    /// Raises the alarm because of a request that is not admitted. Returns, when the alarm is in force or cannot
    /// be raised, what the request is to be answered with.
    pub async fn refuse_for_space(&self) -> RequestError {
        let refused = self.0.shared.quota_exceeded.register();
        answer(refused).await.err().unwrap_or(RequestError::NoSpace)
    }

    /// Takes a raft message of another member. It may be dropped: raft sends again.
    pub fn receive(&self, message: Message) {
        let _ = self.0.node.receive(message);
    }

    /// Reports that messages to another member were lost.
    pub fn report_unreachable(&self, id: MemberId) {
        let _ = self.0.node.report_unreachable(id);
    }

    /// Reports whether the state has reached another member that a message announced last. Until then the node sends
    /// nothing else to that member.
    pub fn report_snapshot(&self, to: MemberId, is_sent: bool) {
        self.0.node.report_snapshot(to, is_sent);
    }

    /// Proposals whose answer is still to come.
    pub fn pending_proposals(&self) -> usize {
        self.0.waiters.len()
    }

    /// The header of an answer at `revision`.
    pub fn header(&self, revision: i64) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.cluster_id().0,
            member_id: self.member_id().0,
            revision,
            raft_term: self.0.node.status().term,
        }
    }
}

/// The way into the log.
impl Engine {
    pub(crate) fn peers(&self) -> &dyn Peers {
        &*self.0.shared.peers
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Proposes a request at once; the future waits for its outcome. As long as this member leads, the log has
    /// requests in the order of these calls.
    pub(crate) fn propose(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Reply, RequestError>> + Send + use<> {
        let submitted = self.submit_request(request, None);
        async { answer(submitted?).await }
    }

    /// As [`Self::propose`], for what this member may do only as the leader of `term`. It is dropped if that is over.
    pub(crate) fn propose_as_leader(
        &self,
        request: Request,
        term: u64,
    ) -> impl Future<Output = Result<Reply, RequestError>> + Send + use<> {
        let submitted = self.submit_request(request, Some(term));
        async { answer(submitted?).await }
    }

    fn submit_request(
        &self,
        request: Request,
        only_in_term: Option<u64>,
    ) -> Result<oneshot::Receiver<Result<Reply, RequestError>>, RequestError> {
        let inner = &*self.0;
        if inner.shared.is_stopping() {
            return Err(RequestError::Stopped);
        }
        if inner.node.status().committed.saturating_sub(inner.read_rounds.applied_index()) > BACKLOG_MAX {
            return Err(RequestError::TooManyRequests);
        }
        let id = inner.ids.next();
        let data = Command { id, username: String::new(), auth_revision: 0, request }.encode();
        let max = inner.config.request_bytes_max;
        if data.len() > max {
            return Err(RequestError::TooLarge { max });
        }
        let receiver =
            inner.waiters.register(id, Instant::now(), data.len()).ok_or(RequestError::TooManyRequests)?;
        inner.submissions.propose(Proposal { only_in_term, ..Proposal::new(id, data) });
        // Who stops the member answers those that he finds; whoever registers later looks for himself.
        if inner.shared.is_stopping() {
            return Err(RequestError::Stopped);
        }
        Ok(receiver)
    }

    /// How long a request may wait.
    pub(crate) fn request_timeout(&self) -> Duration {
        self.0.config.request_timeout()
    }
}

/// The sender goes away without an answer only when the member stops.
pub(crate) async fn answer<T>(
    receiver: oneshot::Receiver<Result<T, RequestError>>,
) -> Result<T, RequestError> {
    receiver.await.unwrap_or(Err(RequestError::Stopped))
}
