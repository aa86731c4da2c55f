//! What clients were answered, and whether a cluster may answer so.
//!
//! Clients [`Workload`] ask whichever member they like for changes and linearizable reads of few keys, and note when
//! they asked, when they were answered, and what. Afterwards the [`Truth`] is read: every change that the cluster
//! keeps, by revision.
//!
//! That the answers are those of one store could be hard to decide, if there were nothing else. But every answer says
//! for which revision it is true. So the order is given: changes by their revision, reads behind the change that made
//! theirs. [`check`] compares each answer with the truth at its place in this order, and the order with time:
//!
//! | promise | broken by |
//! |---|---|
//! | an answered change is there, at the revision of its answer | [`Violation::Lost`] |
//! | conditions and rows before are those of the revision before | [`Violation::Condition`], [`Violation::Previous`] |
//! | a read shows the rows of its revision | [`Violation::Read`] |
//! | what was asked after an answer has no lower revision, and a higher one if it is a change | [`Violation::Stale`] |
//! | nothing takes effect twice, also without an answer | [`Violation::Twice`] |
//! | each answered change is one of its own | [`Violation::Shared`] |
//! | nothing is there that nobody has asked for | [`Violation::Invented`] |
//! | a watch is told all changes once and in order, through whichever members | [`Violation::Told`] |

mod check;
#[cfg(test)]
mod tests;
mod truth;
mod violation;
mod watcher;
mod workload;

use std::time::Duration;

pub use self::check::{Summary, check};
pub use self::truth::{Change, Row, Truth};
pub use self::violation::Violation;
pub use self::workload::{Running, Workload};

/// What a client asked for. No value is asked for twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Puts a value.
    Put {
        /// The value.
        value: String,
    },
    /// Puts a value if the row has this revision, 0 for none; else reads it.
    Swap {
        /// Revision of the row.
        expected: i64,
        /// The value.
        value: String,
    },
    /// Deletes the row if there is one.
    Delete,
    /// Reads the row, linearizably.
    Read,
}

/// What it was answered. Each with the revision of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The row was put, in place of this one.
    Put(i64, Option<Row>),
    /// The condition held, and the row was put.
    Swapped(i64),
    /// The condition did not hold; the row is this one.
    Refused(i64, Option<Row>),
    /// The row was deleted, or there was none.
    Deleted(i64, Option<Row>),
    /// The row.
    Read(i64, Option<Row>),
    /// Nobody knows: it may have taken effect, and may still.
    Unknown,
}

/// One request. Times count from one moment that is the same for all.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The key.
    pub key: String,
    /// What was asked for.
    pub call: Call,
    /// The answer.
    pub answer: Answer,
    /// Not sent before this.
    pub asked: Duration,
    /// The answer was there.
    pub answered: Duration,
}

/// What clients have written down.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Requests, in no order.
    pub operations: Vec<Operation>,
    /// What each watch from the beginning was told.
    pub told: Vec<Vec<(i64, Change)>>,
}

impl Operation {
    /// The revision that it was answered with, and whether it has made it.
    fn place(&self) -> Option<(i64, bool)> {
        match &self.answer {
            Answer::Put(revision, _) | Answer::Swapped(revision) => Some((*revision, true)),
            Answer::Deleted(revision, row) => Some((*revision, row.is_some())),
            Answer::Refused(revision, _) | Answer::Read(revision, _) => Some((*revision, false)),
            Answer::Unknown => None,
        }
    }

    /// The value that it puts.
    fn value(&self) -> Option<&str> {
        match &self.call {
            Call::Put { value } | Call::Swap { value, .. } => Some(value),
            Call::Delete | Call::Read => None,
        }
    }
}
