//! The state machine itself: which store a command goes to, under which alarms.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{
    AlarmType, CompactionRequest, DeleteRangeResponse, PutResponse, TxnResponse,
};
use ferretcd_api_proto::membershippb::{
    ClusterMemberAttrSetRequest, ClusterVersionSetRequest, DowngradeInfoSetRequest,
};
use ferretcd_auth::{AuthReader, AuthStore};
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::{LeaseId, LogPosition, MemberId};
use ferretcd_lease::{LeaseReader, Leases};
use ferretcd_membership::{Change, ChangeError, Membership};
use ferretcd_mvcc::{Committed, Counts, Scrub, Store, WriteTxn};

use crate::alarm::Alarms;
use crate::partial::{ListReader, PartialResponse};
use crate::{
    Alarm, Applied, ApplyError, AuthResponse, Command, Fault, Kind, OpenError, Request, auth, kv, leases, txn,
};

const STORAGE_VERSION_ROW: &[u8] = b"storageVersion";
const AUTH_REVISION_ROW: &[u8] = b"authRevision";

/// Settings of the stores.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of the key space.
    pub mvcc: ferretcd_mvcc::Config,
    /// Of the leases; the same on every member.
    pub lease: ferretcd_lease::Config,
}

/// The stores, and the position in the log that they are at.
#[derive(Debug)]
pub struct StateMachine {
    pub(crate) store: Store,
    pub(crate) leases: Leases,
    pub(crate) membership: Membership,
    pub(crate) alarms: Alarms,
    pub(crate) auth: AuthStore,
    pub(crate) applied: Applied,
    /// Since they were taken last.
    pub(crate) counts: Counts,
}

/// The outcome of one command.
#[derive(Debug)]
pub struct Outcome {
    /// [`Command::id`], by which the proposer waits.
    pub id: u64,
    /// The store's revision after the command.
    pub revision: i64,
    /// What was requested; `None` for a change of the members.
    pub kind: Option<Kind>,
    /// Bytes that the command has added to the state file, estimated.
    pub cost: u64,
    /// The response, or why the command was rejected.
    pub result: Result<Response, ApplyError>,
}

/// The response to a command; its sender fills the header.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// To [`Request::Put`].
    Put(PutResponse),
    /// To [`Request::DeleteRange`].
    DeleteRange(PartialResponse<DeleteRangeResponse>),
    /// To [`Request::Txn`].
    Txn(PartialResponse<TxnResponse>),
    /// To [`Request::Compaction`]: accepted; the removal itself is done by [`StateMachine::scrub`].
    Compaction {
        /// The revision compacted to.
        revision: i64,
        /// Whether the proposer wants to wait for the removal.
        physical: bool,
    },
    /// To [`Request::LeaseGrant`].
    LeaseGrant {
        /// The lease.
        id: LeaseId,
        /// The time to live that it has, in seconds.
        ttl: i64,
    },
    /// To [`Request::LeaseRevoke`]: the lease that was ended.
    LeaseRevoked(LeaseId),
    /// To [`Request::LeaseCheckpoint`]: the leases that there are, and the seconds that they have left, 0 for
    /// their full time.
    LeasesCheckpointed(Vec<(LeaseId, i64)>),
    /// To [`Request::Alarm`]: the alarms in the response.
    Alarm(Vec<Alarm>),
    /// To [`Request::Auth`].
    Auth(AuthResponse),
    /// To commands about the cluster and its members: done.
    Done,
}

/// A change of the cluster's members, as its entry describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// Adds the member that the context describes, or promotes it if the context marks a promotion.
    Add {
        /// The member; an error if the context describes another.
        node: MemberId,
        /// JSON of the member.
        context: Bytes,
    },
    /// Sets the peer URLs that the context gives.
    Update {
        /// The member; an error if the context describes another.
        node: MemberId,
        /// JSON of the member.
        context: Bytes,
    },
    /// Removes a member for ever.
    Remove(MemberId),
}

impl StateMachine {
    /// Opens the stores in a state file and rebuilds what lives in memory. Reads every row of the key
    /// space once. A file that is new gets the rows that every etcd database has, at the next commit of
    /// `batch`.
    pub fn open(backend: Backend, config: &Config, batch: &mut Batch) -> Result<Self, OpenError> {
        if backend.view().get(Bucket::Auth, AUTH_REVISION_ROW)?.is_none() {
            batch.put(Bucket::Auth, AUTH_REVISION_ROW, Bytes::copy_from_slice(&1_u64.to_be_bytes()));
        }
        let mut leases = Leases::open(&backend, config.lease)?;
        Ok(Self {
            membership: Membership::open(&backend)?,
            alarms: Alarms::open(&backend)?,
            auth: AuthStore::open(&backend)?,
            applied: Applied::read(&backend.view())?,
            store: Store::open_with(backend, &config.mvcc, |key, lease| leases.attach([(key, lease)]))?,
            leases,
            counts: Counts::default(),
        })
    }

    /// What the commands requested of the key space since the last call, for metrics.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// The position of the last entry that was applied.
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// A handle for reading the key space beside the writer.
    pub fn reader(&self) -> ferretcd_mvcc::Reader {
        self.store.reader()
    }

    /// A handle for reading the leases beside the writer.
    pub fn lease_reader(&self) -> LeaseReader {
        self.leases.reader()
    }

    /// A handle for looking at users and rights beside the writer.
    pub fn auth_reader(&self) -> AuthReader {
        self.auth.reader()
    }

    /// The key space's newest revision.
    pub fn revision(&self) -> i64 {
        self.store.revision()
    }

    /// The members and the cluster version.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The active alarms, by kind and member.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.alarms.iter().collect()
    }

    /// Rows of revisions up to `main` are in the state file's view now; see [`Store::release`].
    pub fn release(&mut self, main: i64) {
        self.store.release(main);
    }

    /// Applies an entry without a request: the position moves, nothing else.
    pub fn apply_empty(&mut self, position: LogPosition) {
        self.advance(position);
    }

    /// Applies the command in the entry at `position`. An error means that this member cannot follow the log
    /// any further.
    pub fn apply(
        &mut self,
        position: LogPosition,
        command: Bytes,
        batch: &mut Batch,
    ) -> Result<Outcome, Fault> {
        let index = position.index;
        let command = Command::decode(command).map_err(|source| Fault::Command { index, source })?;
        let result = match self.execute(index, &command, batch) {
            Err(ApplyError::Fault(fault)) => return Err(fault),
            other => other,
        };
        self.advance(position);
        let kind = Some(command.request.kind());
        let (revision, cost) = (self.store.revision(), cost(&command.request));
        Ok(Outcome { id: command.id, revision, kind, cost, result })
    }

    /// Applies a change of the members, or rejects it with the outcome's result. The caller passes the decision on
    /// to the consensus core, which must put an accepted change into force, and no rejected one. `id` is that of the
    /// proposal, zero for the entries a cluster starts with.
    pub fn apply_members(
        &mut self,
        position: LogPosition,
        id: u64,
        change: MemberChange,
        batch: &mut Batch,
    ) -> Result<Outcome, Fault> {
        let result = self.change_members(position.index, change, batch).map(|()| Response::Done);
        self.advance(position);
        self.applied.conf_state = self.membership.conf_state_json();
        match result {
            Err(ApplyError::Fault(fault)) => Err(fault),
            result => Ok(Outcome { id, revision: self.store.revision(), kind: None, cost: 0, result }),
        }
    }

    /// One bounded step of the physical compaction; see [`Store::scrub`].
    pub fn scrub(&mut self, limit: usize, batch: &mut Batch) -> Result<Scrub, Fault> {
        self.store.scrub(limit, batch).map_err(Fault::Scrub)
    }

    fn advance(&mut self, position: LogPosition) {
        let before = self.applied.position;
        assert!(position.index > before.index, "entries are applied once and in the order of the log");
        self.applied.position = position;
    }

    fn execute(&mut self, index: u64, command: &Command, batch: &mut Batch) -> Result<Response, ApplyError> {
        self.reject_under_alarm(&command.request)?;
        if self.auth.state().is_enabled() {
            command.check(self.auth.state(), &self.leases.reader())?;
        }
        match &command.request {
            Request::Put(put) => self
                .write(batch, |txn, leases| {
                    kv::check_put(txn, leases, put)?;
                    kv::put(txn, put)
                })
                .map(Response::Put),
            Request::DeleteRange(delete) => {
                let mut lists = ListReader::new();
                let message = self.write(batch, |txn, _| kv::delete_range(txn, delete, &mut lists))?;
                Ok(Response::DeleteRange(PartialResponse { message, deferred: lists.deferred }))
            }
            Request::Txn(request) => {
                let compacted = self.store.compacted();
                self.write(batch, |txn, leases| txn::execute_txn(txn, request, leases, compacted))
                    .map(Response::Txn)
            }
            Request::Compaction(CompactionRequest { revision, physical }) => {
                self.store.compact(*revision, batch)?;
                Ok(Response::Compaction { revision: *revision, physical: *physical })
            }
            Request::LeaseGrant(request) => self.grant(request, batch),
            Request::LeaseRevoke(request) => self.revoke(request, batch),
            Request::LeaseCheckpoint(request) => Ok(self.checkpoint(request, batch)),
            Request::Alarm(request) => Ok(Response::Alarm(self.alarms.execute(request, batch))),
            Request::ClusterVersionSet(request) => Ok(self.set_version(request, batch)),
            Request::ClusterMemberAttrSet(request) => self.set_attributes(request, batch),
            Request::DowngradeInfoSet(DowngradeInfoSetRequest { enabled, ver }) => {
                self.membership.set_downgrade(enabled.then(|| ver.clone()), batch);
                Ok(Response::Done)
            }
            Request::Auth(request) => {
                Ok(Response::Auth(auth::execute(&mut self.auth, index, request, batch)?))
            }
        }
    }

    /// CORRUPT wins over NOSPACE when both are active.
    fn reject_under_alarm(&self, request: &Request) -> Result<(), ApplyError> {
        let concerns_keys = matches!(
            request,
            Request::Put(_)
                | Request::DeleteRange(_)
                | Request::Txn(_)
                | Request::Compaction(_)
                | Request::LeaseGrant(_)
                | Request::LeaseRevoke(_)
        );
        if concerns_keys && self.alarms.is_active(AlarmType::Corrupt) {
            return Err(ApplyError::Corrupt);
        }
        if cost(request) > 0 && self.alarms.is_active(AlarmType::Nospace) {
            return Err(ApplyError::NoSpace);
        }
        Ok(())
    }

    /// Does work in one write transaction. Every error of a request is found before the first change, so an
    /// error behind changes is a fault, after which nothing is applied any more.
    pub(crate) fn write<T>(
        &mut self,
        batch: &mut Batch,
        work: impl FnOnce(&mut WriteTxn<'_>, &Leases) -> Result<T, ApplyError>,
    ) -> Result<T, ApplyError> {
        let mut txn = self.store.write(batch);
        let result = work(&mut txn, &self.leases);
        match &result {
            Ok(_) => {
                let Committed { changes, counts, .. } = txn.commit();
                self.counts += counts;
                self.leases.attach(changes.iter().map(|change| (&change.key[..], change.lease)));
            }
            Err(error) => {
                let is_fault = matches!(error, ApplyError::Fault(_));
                assert!(
                    is_fault || txn.revision() == txn.base_revision(),
                    "rejected before the first change"
                );
                txn.abandon();
            }
        }
        result
    }

    /// All layouts since 3.6 are the same, so the layout follows the cluster version by its row alone. etcd has no row
    /// for older ones.
    fn set_version(&mut self, request: &ClusterVersionSetRequest, batch: &mut Batch) -> Response {
        self.membership.set_version(request.ver.clone(), batch);
        match self.membership.storage_version() {
            Some(version) => batch.put(Bucket::Meta, STORAGE_VERSION_ROW, version.to_string()),
            None => batch.delete(Bucket::Meta, STORAGE_VERSION_ROW),
        }
        Response::Done
    }

    fn set_attributes(
        &mut self,
        request: &ClusterMemberAttrSetRequest,
        batch: &mut Batch,
    ) -> Result<Response, ApplyError> {
        let attributes = request.member_attributes.clone().unwrap_or_default();
        let id = MemberId(request.member_id);
        self.membership.set_attributes(id, attributes.name, attributes.client_urls, batch)?;
        Ok(Response::Done)
    }

    fn change_members(
        &mut self,
        index: u64,
        change: MemberChange,
        batch: &mut Batch,
    ) -> Result<(), ApplyError> {
        let unreadable = |source| Fault::Member { index, source };
        let (node, change) = match change {
            MemberChange::Remove(id) => (id, Change::Remove(id)),
            MemberChange::Update { node, context } => {
                (node, Change::from_update(&context).map_err(unreadable)?)
            }
            MemberChange::Add { node, context } => {
                (node, Change::from_addition(&context).map_err(unreadable)?)
            }
        };
        // The consensus core goes by the one and the list of members by the other.
        if change.member() != node {
            return Err(ChangeError::OtherMember { node, described: change.member() }.into());
        }
        Ok(self.membership.change(change, batch)?)
    }
}

/// The estimated bytes that a request adds to the state file.
fn cost(request: &Request) -> u64 {
    match request {
        Request::Put(put) => kv::put_cost(put),
        Request::Txn(txn) => kv::txn_cost(txn),
        Request::LeaseGrant(_) => leases::GRANT_COST,
        Request::LeaseRevoke(_)
        | Request::LeaseCheckpoint(_)
        | Request::DeleteRange(_)
        | Request::Compaction(_)
        | Request::Alarm(_)
        | Request::ClusterVersionSet(_)
        | Request::ClusterMemberAttrSet(_)
        | Request::DowngradeInfoSet(_)
        | Request::Auth(_) => 0,
    }
}
