//! The book of all requests and their answers.

use api_proto::etcdserverpb::{RangeRequest, RangeResponse};
use api_proto::mvccpb::KeyValue;
use apply::Request;
use base::LeaseId;

use super::{Model, Outcome, Violation};
use crate::agenda::Micros;

/// Numbers a request; also the id of its proposal, which begins at 1.
pub(crate) type OpId = usize;

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Something that goes through the log.
    Propose(Request),
    /// Rows.
    Range(RangeRequest),
    /// More time for a lease.
    KeepAlive(LeaseId),
}

/// What a client hears.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Of something that went through the log.
    Applied(Outcome),
    /// Rows, as they are at a revision.
    Rows(i64, RangeResponse),
    /// The lease lives that many seconds more; 0 if there is none.
    Alive(i64),
    /// It has had no effect and will have none.
    Dropped,
    /// It may have taken effect, and may still.
    Unknown,
}

#[derive(Debug)]
struct Operation {
    call: Call,
    asked: Micros,
    /// The highest revision that any client knew of when this began.
    floor: i64,
    is_open: bool,
    is_dropped: bool,
    effect: Option<Outcome>,
}

/// All requests of a run. Every answer is checked when it comes; see the [module](super) for why this is enough.
#[derive(Debug)]
pub(crate) struct Operations {
    operations: Vec<Operation>,
    /// The highest revision that any client knows of.
    known: i64,
    pub(crate) n_writes: u64,
    pub(crate) n_reads: u64,
    pub(crate) n_unknown: u64,
    /// When a write was answered last.
    pub(crate) last_write: Micros,
}

impl Operations {
    pub(crate) fn new() -> Self {
        Self { operations: Vec::new(), known: 1, n_writes: 0, n_reads: 0, n_unknown: 0, last_write: 0 }
    }

    /// A client begins to ask.
    pub(crate) fn begin(&mut self, now: Micros, call: Call) -> OpId {
        let floor = self.known;
        let is_open = true;
        self.operations.push(Operation { call, asked: now, floor, is_open, is_dropped: false, effect: None });
        self.operations.len()
    }

    pub(crate) fn call(&self, op: OpId) -> &Call {
        &self.operations[op - 1].call
    }

    pub(crate) fn asked(&self, op: OpId) -> Micros {
        self.operations[op - 1].asked
    }

    /// Whether the client still waits.
    pub(crate) fn is_open(&self, op: OpId) -> bool {
        self.operations[op - 1].is_open
    }

    /// Whether a proposal is a client's.
    pub(crate) fn is_known(&self, id: u64) -> bool {
        id as usize <= self.operations.len()
    }

    /// The proposal with this id was applied for the first time, to a store at revision `before`.
    pub(crate) fn took_effect(&mut self, id: u64, before: i64, outcome: &Outcome) -> Result<(), Violation> {
        if !self.is_known(id) {
            return Ok(());
        }
        let (op, operation) = (id as usize, &mut self.operations[id as usize - 1]);
        if operation.effect.is_some() || operation.is_dropped {
            return Err(Violation::Again { op, call: format!("{:?}", operation.call) });
        }
        operation.effect = Some(outcome.clone());
        let has_changed = outcome.revision > before;
        operation.check_time(op, outcome.revision, has_changed)
    }

    /// A client has its answer, unless it has given up before.
    pub(crate) fn answered(
        &mut self,
        now: Micros,
        op: OpId,
        answer: &Answer,
        model: &Model,
    ) -> Result<(), Violation> {
        let operation = &mut self.operations[op - 1];
        if !std::mem::take(&mut operation.is_open) {
            return Ok(());
        }
        match answer {
            Answer::Applied(outcome) => {
                if operation.effect.as_ref() != Some(outcome) {
                    return Err(operation.wrong(op, outcome, &operation.effect));
                }
                let (revision, was_done) = (outcome.revision, outcome.result.is_ok());
                self.n_writes += u64::from(was_done);
                self.last_write = now;
                self.known = self.known.max(revision);
            }
            Answer::Rows(revision, found) => {
                let Call::Range(request) = &operation.call else {
                    return Err(operation.wrong(op, found, &"something else"));
                };
                let expected = model.range_at(&request.key, &request.range_end, *revision);
                if found.count as usize != expected.len() || !is_equal(found, &expected) {
                    return Err(operation.wrong(op, &(revision, found), &expected));
                }
                self.n_reads += 1;
                if !request.serializable {
                    operation.check_time(op, *revision, false)?;
                    self.known = self.known.max(*revision);
                }
            }
            Answer::Alive(_) => self.n_reads += 1,
            Answer::Dropped => {
                operation.is_dropped = true;
                if operation.effect.is_some() {
                    return Err(operation.wrong(op, answer, &operation.effect));
                }
            }
            Answer::Unknown => self.n_unknown += 1,
        }
        Ok(())
    }
}

fn is_equal(found: &RangeResponse, expected: &[KeyValue]) -> bool {
    let found = found.kvs.iter().map(|row| row.decode().ok());
    found.eq(expected.iter().cloned().map(Some))
}

impl Operation {
    fn check_time(&self, op: OpId, revision: i64, has_changed: bool) -> Result<(), Violation> {
        if revision > self.floor || (revision == self.floor && !has_changed) {
            return Ok(());
        }
        let (call, floor) = (format!("{:?}", self.call), self.floor);
        Err(Violation::Stale { op, call, revision, floor })
    }

    fn wrong(&self, op: OpId, found: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug) -> Violation {
        let call = format!("{:?}", self.call);
        Violation::Answer { op, call, found: format!("{found:?}"), expected: format!("{expected:?}") }
    }
}
