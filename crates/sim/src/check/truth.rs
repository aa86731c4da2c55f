//! The true log and its outcomes, as far as any member has applied it.

use std::collections::BTreeMap;

use ferretcd_apply::{Command, Response};
use ferretcd_mvcc::KvHash;
use ferretcd_raft_node::{Committed, Payload};

use super::{Model, Operations, Promises, Violation};
use crate::event_queue::Micros;

/// The outcome of an entry on a member.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Of the store behind it.
    pub(crate) revision: i64,
    /// The response; why a request was rejected is not compared.
    pub(crate) result: Result<Response, ()>,
}

/// The log, each entry as the first member to apply it found it, and all that follows from it.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    log: Vec<(Committed, Outcome)>,
    pub(crate) model: Model,
    pub(crate) promises: Promises,
    leaders: BTreeMap<u64, u64>,
    /// States at an entry, with the first member that had it.
    states: BTreeMap<u64, (u64, String)>,
    /// Hashes of history, by revision and compacted revision.
    histories: BTreeMap<(i64, i64), (u64, u32)>,
}

impl Truth {
    /// The last entry that any member has applied.
    pub(crate) fn last_index(&self) -> u64 {
        self.log.len() as u64
    }

    /// A member leads in this term.
    pub(crate) fn leads(&mut self, member: u64, term: u64) -> Result<(), Violation> {
        let first = *self.leaders.entry(term).or_insert(member);
        if first == member { Ok(()) } else { Err(Violation::TwoLeaders { term, first, second: member }) }
    }

    /// Terms that had a leader.
    pub(crate) fn n_elections(&self) -> usize {
        self.leaders.len()
    }

    /// A member has applied an entry. Returns whether it was the first one.
    pub(crate) fn applied(
        &mut self,
        now: Micros,
        member: u64,
        entry: &Committed,
        found: &Outcome,
        operations: &mut Operations,
    ) -> Result<bool, Violation> {
        let index = entry.position.index;
        let is_first = index > self.last_index();
        if is_first {
            if index != self.last_index() + 1 {
                let (found, expected) = (index, self.last_index() + 1);
                return Err(Violation::Order { member, found, expected });
            }
            let expected = self.execute(now, entry, found, operations)?;
            self.log.push((entry.clone(), expected));
        }
        let (known, expected) = &self.log[index as usize - 1];
        if known != entry {
            let (found, expected) = (format!("{entry:?}"), format!("{known:?}"));
            return Err(Violation::Log { index, member, found, expected });
        }
        if expected != found {
            let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
            return Err(Violation::Outcome { index, member, found, expected });
        }
        Ok(is_first)
    }

    /// The expected outcome of an entry that no member has applied before.
    fn execute(
        &mut self,
        now: Micros,
        entry: &Committed,
        found: &Outcome,
        operations: &mut Operations,
    ) -> Result<Outcome, Violation> {
        let bytes = match &entry.payload {
            Payload::Normal(bytes) => bytes.clone(),
            // The model does not decide whether a change of the members is possible: members are compared with each other.
            _ => return Ok(Outcome { revision: self.model.revision(), result: found.result.clone() }),
        };
        let Command { id, request, .. } = Command::decode(bytes).map_err(|error| Violation::Log {
            index: entry.position.index,
            member: 0,
            found: error.to_string(),
            expected: "a command".to_owned(),
        })?;
        let before = self.model.revision();
        let result = self.model.execute(&request);
        let outcome = Outcome { revision: self.model.revision(), result };
        operations.took_effect(id, before, &outcome)?;
        if let Ok(Response::LeaseRevoked(lease)) = &outcome.result {
            self.promises.ended(lease.0, now, operations.is_known(id))?;
        }
        Ok(outcome)
    }

    /// A member's whole state behind an entry.
    pub(crate) fn state(&mut self, member: u64, index: u64, found: String) -> Result<(), Violation> {
        let (other, expected) = self.states.entry(index).or_insert_with(|| (member, found.clone())).clone();
        if expected == found {
            return Ok(());
        }
        Err(Violation::State { index, member, found, other, expected })
    }

    /// The hash of a member's history.
    pub(crate) fn history(&mut self, member: u64, found: KvHash) -> Result<(), Violation> {
        let place = (found.hash_revision, found.compact_revision);
        let (other, expected) = *self.histories.entry(place).or_insert((member, found.hash));
        if expected == found.hash {
            return Ok(());
        }
        Err(Violation::History { revision: place.0, compacted: place.1, member, other })
    }
}
