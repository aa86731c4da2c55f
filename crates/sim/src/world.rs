//! Everything around the members.

use ferretcd_raft_node::Message;

use crate::agenda::{Agenda, MS, Micros};
use crate::check::{Answer, OpId, Operations, Truth, Violation};
use crate::disk::Speeds;
use crate::network::{Network, Parcel};
use crate::process::Alarm;
use crate::random::Random;
use crate::run::Report;
use crate::workload::WatcherStep;
use crate::{Profile, Sabotage, Trace};

/// Ids of proposals that are no client's begin here.
const OWN_IDS: u64 = 1 << 40;

/// What can happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A running member does something by itself. Void when it has been started again since.
    Alarm { member: u64, start: u64, alarm: Alarm },
    /// A message arrives.
    Deliver(Parcel),
    /// A whole state arrives.
    Snapshot { message: Message, image: Vec<u8> },
    /// The sender of a state hears what became of it.
    SnapshotSent { from: u64, to: u64, ok: bool },
    /// A member notices that messages were lost.
    Unreachable { from: u64, to: u64 },
    /// A request arrives.
    Request { member: u64, op: OpId },
    /// An answer arrives.
    Answer { op: OpId, answer: Answer },
    /// A client thinks of something to ask for.
    Client(usize),
    /// A client has no more patience.
    Overdue(OpId),
    /// Something happens to one who watches. Void when it has lost its stream since.
    Watcher { watcher: usize, epoch: u64, step: WatcherStep },
    /// Something breaks.
    Fault,
    /// A direction between two members works again.
    Mend { from: u64, to: u64 },
    /// Somebody starts a member.
    Start(u64),
}

/// What a run consists of, apart from the members and their clients.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) profile: Profile,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) random: Random,
    pub(crate) agenda: Agenda<Happening>,
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
            agenda: Agenda::new(),
            network: Network::new(profile.loses_messages),
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
        self.agenda.now()
    }

    /// Whether things still break.
    pub(crate) fn is_faulty(&self) -> bool {
        self.now() < self.profile.faults_ms * MS
    }

    pub(crate) fn breaks(&self, rule: Sabotage) -> bool {
        self.sabotage == Some(rule)
    }

    /// Something is to be known of the run.
    pub(crate) fn note(&mut self, who: u64, what: &str, number: u64, detail: impl FnOnce() -> String) {
        self.trace.note(self.agenda.now(), who, what, number, detail);
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

    /// A member says that it cannot go on.
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
            self.agenda.after(delay, Happening::Deliver(parcel));
        } else if self.random.chance(30) {
            // Mostly nobody notices.
            let delay = self.random.below(500 * MS);
            self.agenda.after(delay, Happening::Unreachable { from, to });
        }
    }

    /// Answers a client.
    pub(crate) fn answer(&mut self, op: OpId, answer: Answer) {
        let delay = self.random.between(50, 1_500);
        self.agenda.after(delay, Happening::Answer { op, answer });
    }
}
