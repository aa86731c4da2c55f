//! An operator who adds, promotes and removes members.

use membership::Change;
use raft_node::{ConfChange, ConfChangeKind};

use super::{Cluster, running};
use crate::process::member;

/// Members that there may be at once.
const MEMBERS_MAX: usize = 5;

impl Cluster {
    /// Asks a running member for some change.
    pub(super) fn change_members(&mut self) {
        if !self.world.profile.changes_members {
            return;
        }
        let at = self.some_member();
        let Some(process) = running(&mut self.members, at) else { return };
        let membership = process.machine().membership();
        let voters: Vec<_> = membership.voters().map(|id| id.0).collect();
        let others: Vec<_> = membership.non_voters().map(|id| id.0).collect();
        let leader = process.status().leader.0;
        let random = &mut self.world.random;
        let (kind, change) = match random.below(3) {
            0 if voters.len() + others.len() < MEMBERS_MAX => {
                let id = self.next_member;
                self.next_member += 1;
                let mut member = member(id);
                (member.is_learner, member.is_joining) =
                    if random.chance(30) { (true, false) } else { (false, true) };
                (ConfChangeKind::AddLearnerNode, Change::Add { member, learners_max: MEMBERS_MAX })
            }
            1 if !others.is_empty() => {
                (ConfChangeKind::AddNode, Change::Promote(base::MemberId(*random.pick(&others))))
            }
            2 if voters.len() > 1 => {
                let everybody: Vec<_> = voters.iter().chain(&others).copied().collect();
                let id = *random.pick(&everybody);
                // Who leads hands that over before it goes.
                if id == leader {
                    let to = *random.pick(&voters);
                    return process.transfer_leader(to, &mut self.world);
                }
                (ConfChangeKind::RemoveNode, Change::Remove(base::MemberId(id)))
            }
            _ => return,
        };
        let (node, context) = (change.member(), change.to_context().into());
        let id = self.world.own_id();
        self.world.note(at, "is asked", node.0, || format!("{change:?}"));
        if let Some(process) = running(&mut self.members, at) {
            process.change_members(ConfChange { id, kind, node, context }, &mut self.world);
        }
    }
}
