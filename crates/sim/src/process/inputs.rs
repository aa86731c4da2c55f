//! Requests and messages to a member, and what the checks look at.

use ferretcd_base::MemberId;
use ferretcd_raft_node::{ConfChange, Event, Message, Role};

use super::reads::Purpose;
use super::waiter::Requester;
use super::{Process, reject_snapshot};
use crate::check::{Call, OpId};
use crate::world::World;

impl Process {
    /// A message has come.
    pub(crate) fn receive(&mut self, message: Message, world: &mut World) {
        if self.admits(&message) {
            if !self.handle_read_message(&message, world) {
                self.core.handle(Event::Message(message));
            }
            self.settle(world);
        }
    }

    /// A client's request. Returns false if it must go to the leader.
    pub(crate) fn request(&mut self, op: OpId, world: &mut World) -> bool {
        match world.operations.call(op).clone() {
            Call::Propose(request) => {
                self.propose(op as u64, request, Requester::Client(op), world);
            }
            Call::Range(request) if request.serializable => self.range(op, world),
            Call::Range(_) => self.when_up_to_date(Purpose::Range(op), world),
            Call::KeepAlive(_) if self.status.role != Role::Leader => return false,
            Call::KeepAlive(lease) => self.when_up_to_date(Purpose::Renew(op, lease), world),
        }
        self.settle(world);
        true
    }

    /// A snapshot was received, with its message.
    pub(crate) fn receive_snapshot(&mut self, message: Message, image: Vec<u8>, world: &mut World) {
        if self.admits(&message) {
            self.snapshot_arrived(message, image, world);
        } else {
            reject_snapshot(&message, world);
        }
    }

    /// The transport rejects removed members.
    fn admits(&self, message: &Message) -> bool {
        !self.machine.membership().is_removed(message.from())
    }

    /// Messages to another member were lost.
    pub(crate) fn lost_messages(&mut self, to: u64, world: &mut World) {
        self.core.handle(Event::Unreachable(MemberId(to)));
        self.settle(world);
    }

    /// A snapshot that was sent has arrived or is lost.
    pub(crate) fn snapshot_sent(&mut self, to: u64, ok: bool, world: &mut World) {
        self.core.handle(Event::SnapshotSent { to: MemberId(to), ok });
        self.settle(world);
    }

    /// Proposes a change of the members.
    pub(crate) fn change_members(&mut self, change: ConfChange, world: &mut World) {
        self.core.handle(Event::ConfChange { token: change.id, change });
        self.settle(world);
    }

    /// Whether the core counts exactly the members, in their roles; always true unless this member leads.
    pub(crate) fn agrees_about_members(&self) -> bool {
        let membership = self.machine.membership();
        let progress = self.core.progress();
        let are_equal = |learners: bool, mut members: Vec<MemberId>| {
            let counted = progress.iter().filter(|it| it.is_learner == learners);
            let mut counted: Vec<_> = counted.map(|it| it.id).collect();
            counted.sort_unstable();
            members.sort_unstable();
            counted == members
        };
        progress.is_empty()
            || are_equal(false, membership.voters().collect())
                && are_equal(true, membership.non_voters().collect())
    }

    /// Transfers the leadership.
    pub(crate) fn transfer_leader(&mut self, to: u64, world: &mut World) {
        self.core.handle(Event::TransferLeader(MemberId(to)));
        self.settle(world);
    }
}
