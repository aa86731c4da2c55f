//! All requests and their replies.

use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse};
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_apply::Request;
use ferretcd_base::LeaseId;
use ferretcd_testkit::history::is_in_time;

use super::{Model, Outcome, Violation};
use crate::event_queue::Micros;

/// Numbers a request; also the id of its proposal, which begins at 1.
pub(crate) type OpId = usize;

/// A client's request.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Something that goes through the log.
    Propose(Request),
    /// Rows.
    Range(RangeRequest),
    /// More time for a lease.
    KeepAlive(LeaseId),
}

/// A client's reply.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
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
    requested_at: Micros,
    /// The highest revision that any client knew of when this began.
    floor: i64,
    is_open: bool,
    is_dropped: bool,
    effect: Option<Outcome>,
}

/// All requests of a run. Every reply is checked when it arrives; see the [module](super) for why this is enough.
#[derive(Debug)]
pub(crate) struct Operations {
    operations: Vec<Operation>,
    /// The highest revision that any client knows of.
    known: i64,
    pub(crate) n_writes: u64,
    pub(crate) n_reads: u64,
    pub(crate) n_unknown: u64,
    /// When a write got its reply last.
    pub(crate) last_write: Micros,
}

impl Operations {
    pub(crate) fn new() -> Self {
        Self { operations: Vec::new(), known: 1, n_writes: 0, n_reads: 0, n_unknown: 0, last_write: 0 }
    }

    /// A client sends a request.
    pub(crate) fn begin(&mut self, now: Micros, call: Call) -> OpId {
        let floor = self.known;
        let is_open = true;
        self.operations.push(Operation {
            call,
            requested_at: now,
            floor,
            is_open,
            is_dropped: false,
            effect: None,
        });
        self.operations.len()
    }

    pub(crate) fn call(&self, op: OpId) -> &Call {
        &self.operations[op - 1].call
    }

    pub(crate) fn requested_at(&self, op: OpId) -> Micros {
        self.operations[op - 1].requested_at
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

    /// A client has its reply, unless it has given up before.
    pub(crate) fn finished(
        &mut self,
        now: Micros,
        op: OpId,
        reply: &Reply,
        model: &Model,
    ) -> Result<(), Violation> {
        let operation = &mut self.operations[op - 1];
        if !std::mem::take(&mut operation.is_open) {
            return Ok(());
        }
        match reply {
            Reply::Applied(outcome) => {
                if operation.effect.as_ref() != Some(outcome) {
                    return Err(operation.wrong(op, outcome, &operation.effect));
                }
                let (revision, was_done) = (outcome.revision, outcome.result.is_ok());
                self.n_writes += u64::from(was_done);
                self.last_write = now;
                self.known = self.known.max(revision);
            }
            Reply::Rows(revision, found) => {
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
            Reply::Alive(_) => self.n_reads += 1,
            Reply::Dropped => {
                operation.is_dropped = true;
                if operation.effect.is_some() {
                    return Err(operation.wrong(op, reply, &operation.effect));
                }
            }
            Reply::Unknown => self.n_unknown += 1,
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
        if is_in_time(revision, self.floor, has_changed) {
            return Ok(());
        }
        let (call, floor) = (format!("{:?}", self.call), self.floor);
        Err(Violation::Stale { op, call, revision, floor })
    }

    fn wrong(&self, op: OpId, found: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug) -> Violation {
        let call = format!("{:?}", self.call);
        Violation::Reply { op, call, found: format!("{found:?}"), expected: format!("{expected:?}") }
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::etcdserverpb::PutRequest;
    use ferretcd_apply::Response;

    use super::*;

    fn put(value: &'static str) -> Request {
        Request::Put(PutRequest { key: "k".into(), value: value.into(), ..PutRequest::default() })
    }

    /// A cluster that does everything at once and without errors.
    struct Book {
        operations: Operations,
        model: Model,
    }

    impl Book {
        fn new() -> Self {
            Self { operations: Operations::new(), model: Model::default() }
        }

        fn begin(&mut self, call: Call) -> OpId {
            self.operations.begin(0, call)
        }

        /// The log has it now.
        fn apply(&mut self, op: OpId, value: &'static str) -> Result<Outcome, Violation> {
            let before = self.model.revision();
            let result = self.model.execute(&put(value));
            let outcome = Outcome { revision: self.model.revision(), result };
            self.operations.took_effect(op as u64, before, &outcome)?;
            Ok(outcome)
        }

        fn finish(&mut self, op: OpId, reply: Reply) -> Result<(), Violation> {
            self.operations.finished(0, op, &reply, &self.model)
        }

        fn write(&mut self, value: &'static str) -> Result<(), Violation> {
            let op = self.begin(Call::Propose(put(value)));
            let outcome = self.apply(op, value)?;
            self.finish(op, Reply::Applied(outcome))
        }

        fn begin_read(&mut self, serializable: bool) -> OpId {
            self.begin(Call::Range(RangeRequest { key: "k".into(), serializable, ..RangeRequest::default() }))
        }

        /// The rows of some revision, as they were.
        fn rows(&self, revision: i64) -> Reply {
            let rows = self.model.range_at(b"k", b"", revision);
            let kvs: Vec<_> = rows.iter().map(Into::into).collect();
            Reply::Rows(revision, RangeResponse { count: kvs.len() as i64, kvs, ..RangeResponse::default() })
        }
    }

    #[test]
    fn a_read_that_began_behind_a_write_sees_it() {
        let read_at = |revision, serializable| {
            let mut book = Book::new();
            let early = book.begin_read(false);
            book.write("1").expect("the truth");
            book.finish(early, book.rows(1)).expect("it began before the write had its reply");
            let late = book.begin_read(serializable);
            book.finish(late, book.rows(revision))
        };
        assert_eq!(read_at(2, false), Ok(()));
        assert_eq!(read_at(1, true), Ok(()));
        assert!(matches!(read_at(1, false), Err(Violation::Stale { revision: 1, floor: 2, .. })));
    }

    #[test]
    fn rows_are_those_of_their_revision() {
        let mut book = Book::new();
        book.write("1").expect("the truth");
        let before = book.rows(2);
        book.write("2").expect("the truth");
        let read = book.begin_read(true);
        let Reply::Rows(_, rows) = before else { unreachable!("a range gets rows") };
        assert!(matches!(book.finish(read, Reply::Rows(3, rows)), Err(Violation::Reply { .. })));
    }

    #[test]
    fn a_request_takes_effect_once_or_never() {
        let mut book = Book::new();
        let op = book.begin(Call::Propose(put("1")));
        book.finish(op, Reply::Unknown).expect("clients may give up");
        book.apply(op, "1").expect("it may still take effect");
        assert!(matches!(book.apply(op, "1"), Err(Violation::Again { .. })));

        let op = book.begin(Call::Propose(put("2")));
        book.finish(op, Reply::Dropped).expect("it is in no log");
        assert!(matches!(book.apply(op, "2"), Err(Violation::Again { .. })));
    }

    #[test]
    fn a_reply_is_the_outcome_of_the_request() {
        let mut book = Book::new();
        let op = book.begin(Call::Propose(put("1")));
        let made_up = Outcome { revision: 2, result: Ok(Response::Done) };
        assert!(matches!(book.finish(op, Reply::Applied(made_up)), Err(Violation::Reply { .. })));
        let op = book.begin(Call::Propose(put("1")));
        book.apply(op, "1").expect("the truth");
        assert!(matches!(book.finish(op, Reply::Dropped), Err(Violation::Reply { .. })));
    }
}
