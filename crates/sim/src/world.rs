//! Everything around the members.

use ferretcd_raft_node::Message;
use ferretcd_testkit::Random;

use crate::Report;
use crate::check::{OpId, Operations, Reply, Truth, Violation};
use crate::disk::Speeds;
use crate::event::SimEvent;
use crate::event_queue::{EventQueue, MS, Micros};
use crate::network::Network;
use crate::{Profile, Sabotage, Trace};

/// Ids of proposals that are no client's begin here.
const OWN_IDS: u64 = 1 << 40;

/// The parts of a run apart from the members and their clients.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) profile: Profile,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) random: Random,
    pub(crate) events: EventQueue<SimEvent>,
    pub(crate) network: Network,
    pub(crate) speeds: Speeds,
    pub(crate) truth: Truth,
    pub(crate) operations: Operations,
    pub(crate) trace: Trace,
    pub(crate) report: Report,
    /// The first one that was found.
    pub(crate) violation: Option<Violation>,
    /// Members that were added and have to be started.
    pub(crate) added: Vec<u64>,
    n_own_ids: u64,
}

impl World {
    pub(crate) fn new(seed: u64, profile: Profile, sabotage: Option<Sabotage>, trace: Trace) -> Self {
        Self {
            profile,
            sabotage,
            random: Random::new(seed),
            events: EventQueue::new(),
            network: Network::new(profile.loses_messages, profile.reorders_messages),
            speeds: Speeds::default(),
            truth: Truth::default(),
            operations: Operations::new(),
            trace,
            report: Report::default(),
            violation: None,
            added: Vec::new(),
            n_own_ids: 0,
        }
    }

    pub(crate) fn now(&self) -> Micros {
        self.events.now()
    }

    /// Whether things still break.
    pub(crate) fn is_faulty(&self) -> bool {
        self.now() < self.profile.faults_ms * MS
    }

    pub(crate) fn breaks(&self, rule: Sabotage) -> bool {
        self.sabotage == Some(rule)
    }

    /// Records something that happened.
    pub(crate) fn note(&mut self, actor: u64, what: &str, number: u64, detail: impl FnOnce() -> String) {
        self.trace.note(self.events.now(), actor, what, number, detail);
    }

    /// Takes note of a violation. The first one ends the run.
    pub(crate) fn check<T>(&mut self, result: Result<T, Violation>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(violation) => {
                self.violation.get_or_insert(violation);
                None
            }
        }
    }

    /// A member cannot go on.
    pub(crate) fn failed(&mut self, member: u64, error: &dyn std::error::Error) {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        self.check::<()>(Err(Violation::Failed { member, reason }));
    }

    /// An id for a proposal that no client makes.
    pub(crate) fn own_id(&mut self) -> u64 {
        self.n_own_ids += 1;
        OWN_IDS + self.n_own_ids
    }

    pub(crate) fn send(&mut self, message: Message) {
        let now = self.now();
        let (to, kind) = (message.to().0, message.kind());
        let from = message.from().0;
        let sent = self.network.send(now, message, &mut self.random);
        let delay = sent.as_ref().map_or(0, |(delay, _)| *delay);
        self.note(from, "sends", delay, || format!("{kind} to {to}"));
        if let Some((delay, parcel)) = sent {
            self.events.schedule(delay, SimEvent::Deliver(parcel));
        } else if self.random.chance(30) {
            // Mostly the loss is not noticed.
            let delay = self.random.below(500 * MS);
            self.events.schedule(delay, SimEvent::Unreachable { from, to });
        }
    }

    /// Replies to a client.
    pub(crate) fn reply(&mut self, op: OpId, reply: Reply) {
        let delay = self.random.between(50, 1_500);
        self.events.schedule(delay, SimEvent::Reply { op, reply });
    }
}
