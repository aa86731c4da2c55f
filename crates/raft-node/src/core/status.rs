//! The status of a node, and its role in the read-index protocol.

use ferretcd_base::MemberId;
use raft::{ProgressState, RawNode, StateRole};

use super::Core;
use crate::memory_log::MemoryLog;
use crate::read_index::{ReadIndexRole, ReadSource};
use crate::{Progress, Role, Status};

impl Core {
    /// The node's view of the cluster and itself.
    pub fn status(&self) -> Status {
        let status = Status::of(&self.raw);
        match self.has_ended {
            true => Status { leader: MemberId::default(), role: Role::Follower, ..status },
            false => status,
        }
    }

    /// This node's role in the read-index protocol.
    pub fn read_index_role(&self) -> ReadIndexRole {
        ReadIndexRole { requester: self.requester, source: self.read_source() }
    }

    fn read_source(&self) -> ReadSource {
        let raft = &self.raw.raft;
        if self.has_ended || !self.can_serve_reads() {
            return ReadSource::Unknown;
        }
        let (leader, term) = (MemberId(raft.leader_id), raft.term);
        if raft.state != StateRole::Leader {
            return ReadSource::Leader { id: leader, term };
        }
        if self.is_sole_voter() {
            return ReadSource::Own;
        }
        let is_pair =
            |id: &u64| *id != raft.id && raft.prs().has_quorum(&[raft.id, *id].into_iter().collect());
        let voters = raft.prs().conf().voters().ids();
        ReadSource::Pair { term, with: voters.iter().filter(is_pair).map(MemberId).collect() }
    }

    /// The progress of the members; empty unless this node leads.
    pub fn progress(&self) -> Vec<Progress> {
        let raft = &self.raw.raft;
        if self.has_ended || raft.state != StateRole::Leader {
            return Vec::new();
        }
        let members = raft.prs().iter().map(|(id, progress)| {
            let is_self = *id == raft.id;
            let last = raft.raft_log.last_index();
            Progress {
                id: MemberId(*id),
                matched: if is_self { last } else { progress.matched },
                next: if is_self { last + 1 } else { progress.next_idx },
                is_probed: !is_self && progress.state == ProgressState::Probe,
                is_recently_active: is_self || progress.recent_active,
                needs_snapshot: progress.state == ProgressState::Snapshot,
                is_learner: raft.prs().conf().learners().contains(id),
            }
        });
        members.collect()
    }

    pub(super) fn report_role(&mut self) {
        let status = self.status();
        let essence = |status: &Status| Status { committed: 0, applied: 0, ..status.clone() };
        if essence(&status) != essence(&self.reported) {
            self.reported = status.clone();
            self.effects.role = Some(status);
        }
    }
}

impl Status {
    pub(super) fn of(raw: &RawNode<MemoryLog>) -> Self {
        let raft = &raw.raft;
        let conf = raft.prs().conf();
        Self {
            id: MemberId(raft.id),
            leader: MemberId(raft.leader_id),
            term: raft.term,
            role: raft.state.into(),
            committed: raft.raft_log.committed,
            applied: raft.raft_log.applied,
            is_voter: conf.voters().contains(raft.id),
            is_learner: conf.learners().contains(&raft.id),
            vote: MemberId(raft.vote),
            transferee: MemberId(raft.lead_transferee.unwrap_or_default()),
        }
    }
}
