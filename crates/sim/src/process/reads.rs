//! Linearizable reads, in the rounds that the engine uses.

use ferretcd_api_proto::raftpb;
use ferretcd_base::LeaseId;
use ferretcd_raft_node::{Event, Message, ReadRounds, ReadToken, Role, Status};
use tokio::sync::oneshot;

use super::{Process, Refused};
use crate::Sabotage;
use crate::agenda::{MS, Micros};
use crate::check::{Answer, Call, OpId};
use crate::world::World;

/// How long an answer of the core is waited for before it is asked again.
const PATIENCE: Micros = 500 * MS;

/// What is to be done as soon as the member is up to date.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Rows for a client.
    Range(OpId),
    /// More time for a client's lease.
    Renew(OpId, LeaseId),
    /// Leases whose time is over, as far as this member leads in this term.
    Expire(u64),
}

/// Reads that wait.
#[derive(Debug, Default)]
pub(super) struct Reads {
    rounds: ReadRounds<oneshot::Sender<Result<(), Refused>>>,
    waiting: Vec<(oneshot::Receiver<Result<(), Refused>>, Purpose)>,
    /// The token of the request whose response is waited for.
    asked: u64,
}

impl Reads {
    /// Clients' reads that wait.
    pub(super) fn n_of_clients(&self) -> usize {
        assert!(self.rounds.n_waiting() <= self.waiting.len(), "each read is waited for");
        self.waiting.iter().filter(|(_, purpose)| !matches!(purpose, Purpose::Expire(_))).count()
    }
}

impl Process {
    /// Does it when everything is applied that is committed now.
    pub(super) fn when_up_to_date(&mut self, purpose: Purpose, world: &mut World) {
        let (sender, receiver) = oneshot::channel();
        self.reads.waiting.push((receiver, purpose));
        if world.breaks(Sabotage::ReadWithoutAsking) && self.status.role == Role::Leader {
            let _ = sender.send(Ok(()));
            return;
        }
        let now = world.agenda.instant();
        if self.reads.rounds.add(now, sender)
            && let Some(token) = self.reads.rounds.begin_round(now)
        {
            self.ask(token, world);
        }
    }

    fn ask(&mut self, token: ReadToken, world: &mut World) {
        self.reads.asked = token.0;
        let token = if world.breaks(Sabotage::ReuseReadTokens) { ReadToken(1) } else { token };
        match self.standing.read_request(token) {
            Some(request) => world.send(request),
            None => self.core.handle(Event::ReadIndex(vec![token])),
        }
    }

    /// Does what a message about reads asks for, if that needs no decision of the core.
    pub(super) fn settle_read(&mut self, message: &Message, world: &mut World) -> bool {
        let committed = self.core.status().committed;
        let mut response = self.standing.read_response(message, committed);
        if world.breaks(Sabotage::TakeAnyPairForAQuorum) && self.is_leader() {
            response = response.or_else(|| answer_anybody(message, self.core.status()));
        }
        if let Some(response) = response {
            world.send(response);
            return true;
        }
        let answered = self.standing.confirmed_read(message, committed);
        if let Some((token, index)) = answered {
            self.confirmed(token, index, world);
        }
        answered.is_some()
    }

    /// The core has answered a question.
    pub(super) fn confirmed(&mut self, token: ReadToken, index: u64, world: &mut World) {
        let token = if world.breaks(Sabotage::ReuseReadTokens) { ReadToken(self.reads.asked) } else { token };
        let released = self.reads.rounds.confirmed(token, index);
        for read in released.reads {
            let _ = read.send(Ok(()));
        }
        if released.has_next
            && let Some(token) = self.reads.rounds.begin_round(world.agenda.instant())
        {
            self.ask(token, world);
        }
    }

    /// Everything up to this index is applied.
    pub(super) fn applied_for_reads(&mut self, index: u64) {
        for read in self.reads.rounds.applied(index) {
            let _ = read.send(Ok(()));
        }
    }

    /// The leader is another one: what was put to the old one is lost.
    pub(super) fn ask_for_reads_again(&mut self, world: &mut World) {
        if let Some(token) = self.reads.rounds.retry(world.agenda.instant(), std::time::Duration::ZERO) {
            self.ask(token, world);
        }
    }

    /// Nobody is answered any more.
    pub(super) fn refuse_reads(&mut self) {
        for read in self.reads.rounds.take_all() {
            let _ = read.send(Err(Refused::Stopped));
        }
    }

    /// Asks again where no answer comes, and gives up on reads that have waited too long.
    pub(super) fn sweep_reads(&mut self, timeout: Micros, world: &mut World) {
        let now = world.agenda.instant();
        let millis = |micros: Micros| std::time::Duration::from_micros(micros);
        if let Some(token) = self.reads.rounds.retry(now, millis(PATIENCE)) {
            self.ask(token, world);
        }
        for read in self.reads.rounds.take_overdue(now, millis(timeout)) {
            let _ = read.send(Err(Refused::Timeout));
        }
    }

    /// Does what the rounds have released. Says whether there was something.
    pub(super) fn go_on_with_reads(&mut self, world: &mut World) -> bool {
        let mut ready = Vec::new();
        self.reads.waiting.retain_mut(|(receiver, purpose)| match receiver.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => true,
            told => {
                ready.push((*purpose, matches!(told, Ok(Ok(())))));
                false
            }
        });
        let found_some = !ready.is_empty();
        for (purpose, is_up_to_date) in ready {
            match purpose {
                Purpose::Range(op) if is_up_to_date => self.range(op, world),
                Purpose::Renew(op, lease) if is_up_to_date => self.renew(op, lease, world),
                Purpose::Range(op) | Purpose::Renew(op, _) => world.answer(op, Answer::Unknown),
                Purpose::Expire(term) => self.end_expired(term, is_up_to_date, world),
            }
        }
        found_some
    }

    /// Answers with the rows as they are here now.
    pub(super) fn range(&mut self, op: OpId, world: &mut World) {
        let Call::Range(request) = world.operations.call(op) else { return };
        let view = self.machine.reader().view();
        let response = match ferretcd_apply::range(&view, request) {
            Ok(response) => Answer::Rows(view.revision(), response),
            Err(error) => return world.failed(self.id, &error),
        };
        world.answer(op, response);
    }
}

/// The answer to a question about a read without asking whether there is a later leader.
fn answer_anybody(request: &Message, status: Status) -> Option<Message> {
    let mut response: raftpb::Message = request.clone().into();
    if response.r#type() != raftpb::MessageType::MsgReadIndex {
        return None;
    }
    response.r#type = Some(raftpb::MessageType::MsgReadIndexResp.into());
    std::mem::swap(&mut response.from, &mut response.to);
    (response.term, response.index) = (Some(status.term), Some(status.committed));
    response.try_into().ok()
}
