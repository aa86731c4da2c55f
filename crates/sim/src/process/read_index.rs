//! Linearizable reads, in the rounds that the engine uses.

use ferretcd_api_proto::raftpb;
use ferretcd_raft_node::{Event, Message, ReadToken, Role, Status};
use tokio::sync::oneshot;

use super::Process;
use super::reads::Purpose;
use super::waiter::ReadError;
use crate::Sabotage;
use crate::check::{Call, OpId, Reply};
use crate::event_queue::{MS, Micros};
use crate::world::World;

/// How long a response of the core is waited for before the request is repeated.
const RETRY_AFTER: Micros = 500 * MS;

impl Process {
    /// Does the work of `purpose` once everything is applied that is committed now.
    pub(super) fn when_up_to_date(&mut self, purpose: Purpose, world: &mut World) {
        let (sender, receiver) = oneshot::channel();
        self.reads.waiting.push((receiver, purpose));
        if world.breaks(Sabotage::ReadWithoutQuorum) && self.status.role == Role::Leader {
            let _ = sender.send(Ok(()));
            return;
        }
        let now = world.events.instant();
        if self.reads.rounds.add(now, sender)
            && let Some(token) = self.reads.rounds.begin_round(now)
        {
            self.request_read_index(token, world);
        }
    }

    fn request_read_index(&mut self, token: ReadToken, world: &mut World) {
        self.reads.requested = token.0;
        let token = if world.breaks(Sabotage::ReuseReadTokens) { ReadToken(1) } else { token };
        match self.read_role.read_request(token) {
            Some(request) => world.send(request),
            None => self.core.handle(Event::ReadIndex(vec![token])),
        }
    }

    /// Handles a message about reads, if that needs no decision of the core.
    pub(super) fn handle_read_message(&mut self, message: &Message, world: &mut World) -> bool {
        let committed = self.core.status().committed;
        let mut response = self.read_role.read_response(message, committed);
        if world.breaks(Sabotage::TakeAnyPairForAQuorum) && self.is_leader() {
            response = response.or_else(|| respond_to_any_request(message, self.core.status()));
        }
        if let Some(response) = response {
            world.send(response);
            return true;
        }
        let confirmed = self.read_role.confirmed_read(message, committed);
        if let Some((token, index)) = confirmed {
            self.confirmed(token, index, world);
        }
        confirmed.is_some()
    }

    /// The core has responded with a read index.
    pub(super) fn confirmed(&mut self, token: ReadToken, index: u64, world: &mut World) {
        let token =
            if world.breaks(Sabotage::ReuseReadTokens) { ReadToken(self.reads.requested) } else { token };
        let released = self.reads.rounds.confirmed(token, index);
        for read in released.reads {
            let _ = read.send(Ok(()));
        }
        if released.has_next
            && let Some(token) = self.reads.rounds.begin_round(world.events.instant())
        {
            self.request_read_index(token, world);
        }
    }

    /// Everything up to this index is applied.
    pub(super) fn applied_for_reads(&mut self, index: u64) {
        for read in self.reads.rounds.applied(index) {
            let _ = read.send(Ok(()));
        }
    }

    /// The leader has changed: requests to the old one are lost.
    pub(super) fn retry_reads(&mut self, world: &mut World) {
        if let Some(token) = self.reads.rounds.retry(world.events.instant(), std::time::Duration::ZERO) {
            self.request_read_index(token, world);
        }
    }

    /// All waiting reads fail.
    pub(super) fn fail_reads(&mut self) {
        for read in self.reads.rounds.take_all() {
            let _ = read.send(Err(ReadError::Stopped));
        }
    }

    /// Repeats requests without a response, and gives up on reads that have waited too long.
    pub(super) fn sweep_reads(&mut self, timeout: Micros, world: &mut World) {
        let now = world.events.instant();
        let millis = |micros: Micros| std::time::Duration::from_micros(micros);
        if let Some(token) = self.reads.rounds.retry(now, millis(RETRY_AFTER)) {
            self.request_read_index(token, world);
        }
        for read in self.reads.rounds.take_overdue(now, millis(timeout)) {
            let _ = read.send(Err(ReadError::Timeout));
        }
    }

    /// Does what the rounds have released. Returns whether there was something.
    pub(super) fn go_on_with_reads(&mut self, world: &mut World) -> bool {
        let mut ready = Vec::new();
        self.reads.waiting.retain_mut(|(receiver, purpose)| match receiver.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => true,
            result => {
                ready.push((*purpose, matches!(result, Ok(Ok(())))));
                false
            }
        });
        let found_some = !ready.is_empty();
        for (purpose, is_up_to_date) in ready {
            match purpose {
                Purpose::Range(op) if is_up_to_date => self.range(op, world),
                Purpose::Renew(op, lease) if is_up_to_date => self.renew(op, lease, world),
                Purpose::Range(op) | Purpose::Renew(op, _) => world.reply(op, Reply::Unknown),
                Purpose::Expire(term) => self.end_expired(term, is_up_to_date, world),
            }
        }
        found_some
    }

    /// Replies with the rows as they are here now.
    pub(super) fn range(&mut self, op: OpId, world: &mut World) {
        let Call::Range(request) = world.operations.call(op) else { return };
        let view = self.machine.reader().view();
        let response = match ferretcd_apply::range(&view, request) {
            Ok(response) => Reply::Rows(view.revision(), response),
            Err(error) => return world.failed(self.id, &error),
        };
        world.reply(op, response);
    }
}

/// The response to a request for a read index without a quorum, although there may be a later leader.
fn respond_to_any_request(request: &Message, status: Status) -> Option<Message> {
    let mut response: raftpb::Message = request.clone().into();
    if response.r#type() != raftpb::MessageType::MsgReadIndex {
        return None;
    }
    response.r#type = Some(raftpb::MessageType::MsgReadIndexResp.into());
    std::mem::swap(&mut response.from, &mut response.to);
    (response.term, response.index) = (Some(status.term), Some(status.committed));
    response.try_into().ok()
}
