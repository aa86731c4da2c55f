//! An operator's additions, promotions and removals of members.

use ferretcd_base::MemberId;
use ferretcd_membership::{Change, Membership};
use ferretcd_raft_node::{ConfChange, ConfChangeKind};

use super::{Cluster, running};
use crate::process::{Process, member};

/// Members that there may be at once.
const MEMBERS_MAX: usize = 5;

impl Cluster {
    /// Requests some change from a running member, mostly the leader.
    pub(super) fn change_members(&mut self) {
        let leads = |id: &u64| self.members[id].process.as_ref().is_some_and(Process::is_leader);
        let leader = self.members.keys().copied().rfind(leads);
        let some_member = self.some_member();
        let at = leader.filter(|_| self.world.random.chance(80)).unwrap_or(some_member);
        let Some(process) = running(&mut self.members, at) else { return };
        let (leader, membership) = (process.status().leader, process.machine().membership().clone());
        let (kind, change) = self.choose(&membership);
        let node = change.member();
        // A leader should transfer its leadership before it is removed.
        if kind == ConfChangeKind::RemoveNode && node == leader && self.world.random.chance(70) {
            return self.transfer_leadership(node, &membership);
        }
        // Of two voters, one that goes may be the only one that knows for sure that it goes; then the other one waits for
        // its vote for ever, in etcd as well.
        let n_voters = membership.voters().count();
        let is_voter = membership.voters().any(|id| id == node);
        if kind == ConfChangeKind::RemoveNode && is_voter && n_voters < 3 {
            return;
        }
        let (id, context) = (self.world.own_id(), change.to_context().into());
        self.world.note(at, "is asked", node.0, || format!("{change:?}"));
        if let Some(process) = running(&mut self.members, at) {
            process.change_members(ConfChange { id, kind, node, context }, &mut self.world);
        }
    }

    /// A change that is possible, or was a moment ago.
    fn choose(&mut self, membership: &Membership) -> (ConfChangeKind, Change) {
        let others: Vec<_> = membership.non_voters().collect();
        let all: Vec<_> = membership.members().map(|member| member.id).collect();
        let random = &mut self.world.random;
        if !others.is_empty() && random.chance(40) {
            return (ConfChangeKind::AddNode, Change::Promote(*random.pick(&others)));
        }
        let grows = all.len() < 2 || (all.len() < MEMBERS_MAX && random.chance(60));
        if !grows {
            return (ConfChangeKind::RemoveNode, Change::Remove(*random.pick(&all)));
        }
        let is_learner = random.chance(30);
        let member =
            ferretcd_membership::Member { is_learner, is_joining: !is_learner, ..member(self.next_member) };
        self.next_member += 1;
        (ConfChangeKind::AddLearnerNode, Change::Add { member, learners_max: MEMBERS_MAX })
    }

    fn transfer_leadership(&mut self, leader: MemberId, membership: &Membership) {
        let others: Vec<_> = membership.voters().filter(|id| *id != leader).collect();
        if others.is_empty() {
            return;
        }
        let to = *self.world.random.pick(&others);
        self.world.note(leader.0, "is to hand over", to.0, String::new);
        if let Some(process) = running(&mut self.members, leader.0) {
            process.transfer_leader(to.0, &mut self.world);
        }
    }
}
