//! The handle by which the rest of the member uses a node.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use ferretcd_base::MemberId;

use crate::inbox::{Inbox, ProgressReply, Report};
use crate::log_thread::Checkpoint;
use crate::timeline::Timeline;
use crate::{
    ConfChange, Core, Host, Message, Passage, Progress, Proposal, ReadIndexRole, ReadToken, Rejected, Status,
    Transport,
};

/// Access to a running node from any thread. None of its methods waits for the node; after the node has
/// stopped, they return an error or do nothing.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    pub(crate) shared: Arc<Shared>,
}

/// The state that handles and the driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) inbox: Inbox,
    /// Everything but the two indices below is current. Stored by the driver.
    status: ArcSwap<Status>,
    /// Stored by the driver.
    committed: AtomicU64,
    /// Stored by the driver.
    read_role: ArcSwap<ReadIndexRole>,
    /// Written by the driver.
    pub(crate) timeline: Timeline,
    outside: Outside,
}

/// Host and transport, which the driver owns and handles may use while it runs.
pub(crate) struct Outside {
    pub(crate) host: Weak<dyn Host>,
    pub(crate) transport: Weak<dyn Transport>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

impl NodeHandle {
    /// Hands over a proposal. Accepted, it ends in one of three ways: its data comes back committed, `token`
    /// comes back as dropped, or neither, when a leader that it was forwarded to or the own leadership is lost.
    pub fn propose(&self, token: u64, data: Bytes) -> Result<(), Rejected> {
        self.shared.inbox.request(|lanes| &mut lanes.proposals, Proposal::new(token, data))
    }

    /// Hands over proposals with one wake-up of the node. Rejected ones, which are the last, stay in `proposals`; each
    /// of the others ends as with [`Self::propose`].
    pub fn propose_all(&self, proposals: &mut Vec<Proposal>) -> Result<(), Rejected> {
        self.shared.inbox.request_all(|lanes| &mut lanes.proposals, proposals)
    }

    /// Hands over a configuration change, which ends like a proposal. One is dropped while another is committed
    /// and not applied.
    pub fn propose_conf_change(&self, token: u64, change: ConfChange) -> Result<(), Rejected> {
        self.shared.inbox.request(|lanes| &mut lanes.conf_changes, (token, change))
    }

    /// Requests the index from which a read that begins now is linearizable. The response may never come: the request
    /// may get lost, on the way or with its leader. Callers try again after a while, with a new token. A follower's
    /// request leaves on the caller's thread.
    pub fn read_index(&self, token: ReadToken) -> Result<(), Rejected> {
        let request = self.shared.read_role.load().read_request(token);
        match request {
            Some(request) => self.shared.outside.send(request),
            None => self.shared.inbox.request(|lanes| &mut lanes.reads, token)?,
        }
        Ok(())
    }

    /// The index from which a read that begins now is linearizable, if this node knows it without a request: it is
    /// the sole voter, so no other member can have committed anything. `None` means to
    /// [request](Self::read_index) it.
    pub fn read_index_as_sole_voter(&self) -> Option<u64> {
        let (role, committed) = self.shared.read_role();
        role.is_own().then_some(committed)
    }

    /// Hands over a message from another member. Rejected ones may be forgotten: raft sends again. Messages about reads
    /// are handled on the caller's thread if they need no decision.
    pub fn receive(&self, message: Message) -> Result<(), Rejected> {
        let shared = &*self.shared;
        let (role, committed) = shared.read_role();
        if let Some(response) = role.read_response(&message, committed) {
            shared.outside.send(response);
        } else if let Some((token, index)) = role.confirmed_read(&message, committed) {
            shared.outside.read_ready(token, index);
        } else {
            shared.inbox.request(|lanes| &mut lanes.messages, message)?;
        }
        Ok(())
    }

    /// Decides about the configuration change handed out with the entry at `index`: it is in force with the next
    /// thing that the node does, or rejected if `change` is `None`. Every member must decide alike. To be called
    /// before [`Self::applied`] with that index; no further entry is handed out before.
    pub fn configure(&self, index: u64, change: Option<ConfChange>) {
        self.shared.inbox.put(|lanes| lanes.configured.push((index, change)));
    }

    /// Reports that the snapshot of [`Host::install`](crate::Host::install) is in place; everything up to its index
    /// counts as applied.
    pub fn installed(&self, index: u64) {
        self.shared.inbox.put(|lanes| lanes.installed = Some(index));
    }

    /// Reports that the member has applied the entries up to `index`. Cheap: the node looks at it when it is
    /// awake, and is woken only if it waits for just that. Lower indices than before are ignored.
    pub fn applied(&self, index: u64) {
        self.shared.inbox.set_applied(index);
    }

    /// Reports that the state up to `mark.index` is durable elsewhere. The node records the mark in the log and
    /// then deletes log segments that lie wholly before it, except the `keep_segments` newest. The mark must be
    /// of an applied entry, with its term and the configuration as of it.
    pub fn checkpoint(&self, mark: ferretcd_wal::SnapshotMark, keep_segments: usize) {
        // A later checkpoint covers an earlier one that still waits, so there is never more than one.
        self.shared.inbox.put(|lanes| lanes.checkpoint = Some(Checkpoint { mark, keep_segments }));
    }

    /// Requests that the leader transfers its leadership to `to`. There is no response; watch the role. The leader gives
    /// up after one election time-out, drops proposals until then, and ignores learners and unknown members.
    pub fn transfer_leader(&self, to: MemberId) -> Result<(), Rejected> {
        self.shared.inbox.put(|lanes| lanes.request_transfer(to))
    }

    /// Reports that messages to a member were lost, so that a leader finds out anew which entries it has. Rejected
    /// reports may be forgotten.
    pub fn report_unreachable(&self, id: MemberId) -> Result<(), Rejected> {
        self.shared.inbox.request(|lanes| &mut lanes.reports, Report::Unreachable(id))
    }

    /// Reports whether a snapshot reached a member: the leader sends nothing else to it before. Never rejected: there
    /// are no more reports than snapshots on their way.
    pub fn report_snapshot(&self, to: MemberId, ok: bool) {
        self.shared.inbox.put(|lanes| lanes.reports.push(Report::Snapshot { to, ok }));
    }

    /// Requests the progress of the members, itself included, as the core knows it with all messages received before;
    /// empty unless this node leads. `reply` is called once on the node's thread, and must not wait; it is dropped
    /// without a call if the node ends before.
    pub fn progress(&self, reply: impl FnOnce(Vec<Progress>) + Send + 'static) -> Result<(), Rejected> {
        self.shared.inbox.request(|lanes| &mut lanes.progress, ProgressReply(Box::new(reply)))
    }

    /// When the proposal with this token, which became the entry `index`, passed the stages of the log here. A search
    /// through thousands of moments: for requests that were slow.
    pub fn passage(&self, token: u64, index: u64) -> Passage {
        self.shared.timeline.passage(token, index)
    }

    /// The node's status. Takes no lock; the indices may be newer than the rest.
    pub fn status(&self) -> Status {
        self.shared.status()
    }
}

impl Shared {
    pub(crate) fn new(inbox: Inbox, core: &Core, outside: Outside) -> Self {
        let status = core.status();
        let committed = AtomicU64::new(status.committed);
        Self {
            inbox,
            status: ArcSwap::from_pointee(status),
            committed,
            read_role: ArcSwap::from_pointee(core.read_index_role()),
            timeline: Timeline::default(),
            outside,
        }
    }

    /// Lets handles see the core's state; the whole status only if the role has changed. Has to be called before
    /// anything that follows from the state leaves the node: a read that begins after another member could act on it
    /// must not find the state before it.
    pub(crate) fn publish(&self, core: &Core, has_new_role: bool) {
        let (status, read_role) = (core.status(), core.read_index_role());
        let is_same = **self.read_role.load() == read_role;
        if !is_same {
            // Neither role goes with the commit index of the other.
            self.read_role.store(Arc::new(read_role.without_source()));
        }
        self.committed.store(status.committed, Ordering::SeqCst);
        if !is_same {
            self.read_role.store(Arc::new(read_role));
        }
        if has_new_role {
            self.status.store(Arc::new(status));
        }
    }

    /// The role in the read-index protocol, and a commit index that the core had while it was in it.
    fn read_role(&self) -> (Guard<Arc<ReadIndexRole>>, u64) {
        let mut role = self.read_role.load();
        loop {
            let committed = self.committed.load(Ordering::SeqCst);
            let now = self.read_role.load();
            if Arc::ptr_eq(&role, &now) {
                return (role, committed);
            }
            role = now;
        }
    }

    /// The driver ends: this node does not lead any more, and its inbox rejects everything.
    pub(crate) fn close(&self) {
        self.read_role.store(Arc::new(self.read_role.load().without_source()));
        self.inbox.close();
    }

    fn status(&self) -> Status {
        let status = Status::clone(&self.status.load());
        let committed = self.committed.load(Ordering::Acquire);
        Status { committed, applied: self.inbox.applied(), ..status }
    }
}

impl Outside {
    fn send(&self, message: Message) {
        if let Some(transport) = self.transport.upgrade() {
            transport.send(vec![message]);
        }
    }

    fn read_ready(&self, token: ReadToken, index: u64) {
        if let Some(host) = self.host.upgrade() {
            host.read_ready(token, index);
        }
    }
}
