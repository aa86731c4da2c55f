//! The facet for maintenance: alarms, hashes, defragmentation, snapshots, the quota and downgrades.

pub(crate) mod downgrade;
pub(crate) mod quota;
pub(crate) mod quota_exceeded;
pub(crate) mod snapshot;

use std::sync::Arc;
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{AlarmRequest, AlarmResponse, AlarmType, alarm_request::AlarmAction};
use ferretcd_apply::ApplyError;
use ferretcd_backend::Backend;
use ferretcd_base::{MemberId, Threshold};
use ferretcd_data_dir::ReceivedSnapshots;
use ferretcd_mvcc::{KvHash, ReadError, Reader};
use tokio::time::{Instant, sleep};

use self::quota::Quota;
use self::quota_exceeded::QuotaExceeded;
use crate::auth::gate::Gate;
use crate::flusher::Flusher;
use crate::metrics::Metrics;
use crate::parts::Parts;
use crate::proposer::Proposer;
use crate::read_index::ReadIndex;
use crate::replies::{blocking, outcome};
use crate::{Caller, MemberInfo, RequestError};

/// How long a hash for a peer waits for its revision to be applied.
const APPLY_PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks at the applied revision.
const APPLY_PAUSE: Duration = Duration::from_millis(10);

/// Upkeep of one member.
#[derive(Clone, Debug)]
pub struct Maintenance {
    proposer: Proposer,
    read_index: ReadIndex,
    gate: Gate,
    state: StateFile,
    quota: Quota,
    quota_exceeded: Arc<QuotaExceeded>,
    slow_apply: Threshold,
    received: ReceivedSnapshots,
    metrics: Arc<Metrics>,
    member: MemberInfo,
}

/// The state file, its writer, and the key space above it.
#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    pub(crate) reader: Reader,
    pub(crate) backend: Backend,
    pub(crate) flusher: Flusher,
}

impl Maintenance {
    pub(crate) fn new(parts: &Parts, state: StateFile, quota: Quota, received: ReceivedSnapshots) -> Self {
        Self {
            proposer: parts.proposer.clone(),
            read_index: parts.read_index.clone(),
            gate: parts.gate.clone(),
            state,
            quota,
            quota_exceeded: Arc::clone(&parts.channels.quota_exceeded),
            slow_apply: parts.channels.slow_apply.clone(),
            received,
            metrics: Arc::clone(&parts.channels.metrics),
            member: parts.member.clone(),
        }
    }

    /// Whether the caller may look at the member.
    pub async fn check_user(&self, caller: &Caller) -> Result<(), RequestError> {
        self.gate.check_user(caller).await.map(drop)
    }

    /// Whether the caller may do what is for operators.
    pub async fn check_root(&self, caller: &Caller) -> Result<(), RequestError> {
        self.gate.check_root(caller).await
    }

    /// Lists, raises or takes back alarms.
    pub async fn alarm(&self, caller: &Caller, request: AlarmRequest) -> Result<AlarmResponse, RequestError> {
        match AlarmAction::try_from(request.action) {
            Ok(AlarmAction::Get) => self.check_user(caller).await?,
            _ => self.check_root(caller).await?,
        }
        self.proposer.propose(caller, request).await
    }

    /// Raises or takes back the alarm `kind` of a member.
    pub(crate) async fn set_alarm(
        &self,
        kind: AlarmType,
        id: MemberId,
        action: AlarmAction,
    ) -> Result<(), RequestError> {
        let request = AlarmRequest { action: action as i32, member_id: id.0, alarm: kind as i32 };
        self.alarm(&Caller::MEMBER, request).await.map(drop)
    }

    /// The hash of the key space up to `revision` (0 for the newest); reads the whole of it.
    pub async fn hash_kv(&self, caller: &Caller, revision: i64) -> Result<KvHash, RequestError> {
        self.check_root(caller).await?;
        // Rows of later revisions may not be in the state file when it is read.
        let newest = self.state.reader.revision();
        if revision > newest {
            return Err(ApplyError::Future { requested: revision, current: newest }.into());
        }
        self.flush().await?;
        let reader = self.state.reader.clone();
        let hash = move || match revision {
            0 => reader.compute_hash_kv(newest),
            _ => reader.hash_kv(revision),
        };
        let timer = self.metrics.hash_kv.start_timer();
        let hash = blocking(move || Ok(hash()?)).await;
        timer.observe_duration();
        hash
    }

    /// As [`Self::hash_kv`], for a peer that may be ahead of this member.
    pub(crate) async fn hash_kv_for_peer(
        &self,
        caller: &Caller,
        revision: i64,
    ) -> Result<KvHash, RequestError> {
        let deadline = Instant::now() + APPLY_PATIENCE;
        while self.state.reader.revision() < revision && Instant::now() < deadline {
            sleep(APPLY_PAUSE).await;
        }
        self.hash_kv(caller, revision).await
    }

    /// The hash of the whole state file; reads the whole of it.
    pub async fn hash(&self, caller: &Caller) -> Result<u32, RequestError> {
        self.check_root(caller).await?;
        self.flush().await?;
        let view = self.state.backend.view();
        let fault = |error| RequestError::Apply(ApplyError::from(ReadError::from(error)));
        let timer = self.metrics.hash.start_timer();
        let hash = blocking(move || ferretcd_apply::backend_hash(&view).map_err(fault)).await;
        timer.observe_duration();
        hash
    }

    /// The hashes that finished compactions have left behind.
    pub(crate) fn compaction_hashes(&self) -> Vec<KvHash> {
        self.state.reader.finished_hashes()
    }

    /// Waits until everything applied so far is durable in the state file.
    pub async fn flush(&self) -> Result<(), RequestError> {
        self.state.flusher.flush().await.map_err(|_| RequestError::Stopped)
    }

    /// Rewrites the state file, so that what compactions have freed is given back to the file system; returns at its end, or
    /// at once if there is nothing to give back. Requests that come together share one rewrite, which goes on when they are
    /// dropped. Reads and writes go on meanwhile. This member alone.
    pub async fn defragment(&self, caller: &Caller) -> Result<(), RequestError> {
        self.check_root(caller).await?;
        let done = self.state.flusher.defragment().await;
        Ok(done.map_err(|_| RequestError::Stopped)??)
    }

    /// Size of the state file.
    pub fn db_size(&self) -> ferretcd_backend::Size {
        self.state.backend.size()
    }

    /// Read transactions of the state file that are open.
    pub(crate) fn open_transactions(&self) -> usize {
        self.state.backend.open_transactions()
    }

    /// The quota in force, in bytes; negative for none.
    pub fn quota_bytes(&self) -> i64 {
        self.quota.limit()
    }

    /// Puts another quota in force, in bytes; negative for none. An alarm that is raised stays.
    pub fn set_quota_bytes(&self, bytes: i64) {
        self.quota.set_limit(bytes);
    }

    /// Has entries and reads be logged whose execution takes longer than this.
    pub fn set_slow_apply(&self, bound: Duration) {
        self.slow_apply.set(bound);
    }

    /// Bytes that the quota leaves; `None` for no limit.
    pub fn quota_room(&self) -> Option<u64> {
        self.quota.room()
    }

    /// Whether the quota has room for a request that is estimated to add `cost` bytes.
    pub fn admits(&self, cost: u64) -> bool {
        self.quota.admits(cost)
    }

    /// Raises the alarm because the quota has no room for a request. Returns the error for the request, when the alarm
    /// is in force or cannot be raised.
    pub async fn quota_exceeded(&self) -> RequestError {
        let rejected = self.quota_exceeded.register();
        outcome(rejected).await.err().unwrap_or(RequestError::NoSpace)
    }

    /// The requests that the quota had no room for.
    pub(crate) fn rejected(&self) -> &QuotaExceeded {
        &self.quota_exceeded
    }

    pub(crate) fn received(&self) -> &ReceivedSnapshots {
        &self.received
    }
}
