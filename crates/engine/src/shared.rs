//! Facts about the member that its threads publish.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use ferretcd_apply::{Alarm, StateMachine};
use ferretcd_backend::Batch;
use ferretcd_base::{ClusterId, MemberId};
use ferretcd_data_dir::Identity;
use ferretcd_membership::{Change, Member, Membership};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::cluster::membership_log::log_changes;
use crate::{Peers, explain};

/// Written by the apply thread and the threads of the raft node. Facets read it through
/// [`MemberInfo`](crate::MemberInfo).
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) member_id: MemberId,
    pub(crate) cluster_id: ClusterId,
    peers: Arc<dyn Peers>,
    /// The members that a new member was started with.
    contacts: Vec<Member>,
    pub(crate) membership: ArcSwap<Membership>,
    pub(crate) alarms: ArcSwap<Vec<Alarm>>,
    /// The term that this member leads in, if it leads.
    pub(crate) leading: watch::Sender<Option<u64>>,
    /// When the last leader was lost.
    pub(crate) leader_lost: Mutex<Option<Instant>>,
    pub(crate) is_stopping: AtomicBool,
    /// Why the member cannot go on, once it cannot.
    pub(crate) failure: watch::Sender<Option<String>>,
    /// Whether the member was removed from its cluster.
    pub(crate) has_left: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(
        identity: Identity,
        machine: &StateMachine,
        peers: Arc<dyn Peers>,
        contacts: Vec<Member>,
    ) -> Self {
        let shared = Self {
            member_id: identity.member_id,
            cluster_id: identity.cluster_id,
            peers,
            contacts,
            membership: ArcSwap::from_pointee(machine.membership().clone()),
            alarms: ArcSwap::from_pointee(machine.alarms()),
            leading: watch::Sender::new(None),
            leader_lost: Mutex::new(None),
            is_stopping: AtomicBool::new(false),
            failure: watch::Sender::new(None),
            has_left: watch::Sender::new(machine.membership().is_removed(identity.member_id)),
        };
        shared.set_peers(machine.membership());
        shared
    }

    /// Publishes the members and alarms as they are now.
    pub(crate) fn publish(&self, machine: &StateMachine) {
        self.set_peers(machine.membership());
        let before = self.membership.swap(machine.membership().clone().into());
        log_changes(self.cluster_id, self.member_id, &before, machine.membership());
        if machine.membership().is_removed(self.member_id) {
            self.leave();
        }
        self.alarms.store(machine.alarms().into());
    }

    /// A member that has just joined learns the others one by one from the log, which it gets from members that the
    /// log has not named yet. So it also connects to the members that it was started with.
    fn set_peers(&self, membership: &Membership) {
        let mut reachable = membership.clone();
        for contact in &self.contacts {
            // An error if the log has named or removed this member already.
            let _ = reachable.change(
                Change::Add { member: contact.clone(), learners_max: usize::MAX },
                &mut Batch::default(),
            );
        }
        self.peers.set_members(&reachable);
    }

    /// The member does not belong to its cluster any more.
    pub(crate) fn leave(&self) {
        self.has_left.send_if_modified(|has_left| !std::mem::replace(has_left, true));
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Something happened after which the member must not go on. The first reason is kept.
    pub(crate) fn fail(&self, error: &dyn std::error::Error) {
        let reason = explain(error);
        tracing::error!(error = reason, "the member cannot go on; stopping");
        self.failure.send_if_modified(|current| {
            let is_first = current.is_none();
            current.get_or_insert(reason);
            is_first
        });
    }
}
