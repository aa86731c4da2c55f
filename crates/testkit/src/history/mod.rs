//! Whether the responses of a cluster are those of one store.
//!
//! Clients send changes and linearizable reads of few keys to any member, and note as [`Operation`]s when they sent a
//! request, when its response came, and what it was. Afterwards the [`Truth`] is read: every change that the cluster
//! keeps, by revision.
//!
//! Linearizability is hard to decide from responses alone. But etcd numbers all changes, and every response has the
//! revision that it is true for. That gives the order: changes by their revision, reads behind the change of theirs.
//! [`check`] compares each response with the truth at its place in this order, and the order with time:
//!
//! | promise | broken by |
//! |---|---|
//! | an acknowledged change is there, at the revision of its response | [`Violation::Lost`] |
//! | conditions and rows before are those of the revision before | [`Violation::Condition`], [`Violation::Previous`] |
//! | a read shows the rows of its revision | [`Violation::Read`] |
//! | a request sent after a response has no lower revision, and a higher one if it is a change | [`Violation::Stale`] |
//! | nothing takes effect twice, also without a response | [`Violation::Twice`] |
//! | each acknowledged change is one of its own | [`Violation::Shared`] |
//! | every change was requested | [`Violation::Invented`] |
//! | a watch reports all changes once and in order, through any members | [`Violation::Watch`] |
//!
//! The simulator keeps books of its own (`ferretcd-sim`, `check`): it sees the log, so that it knows the effect of each
//! request and can stop at the first wrong one, where this module has to find the request for each change. The rule of
//! time ([`is_in_time`]) and the one about watches ([`crate::watch_history`]) are the same for both.

mod check;
#[cfg(test)]
mod tests;
mod truth;
mod violation;

use std::time::Duration;

use crate::watch_history;

pub use self::check::{Summary, check};
pub use self::truth::{Change, Row, Truth};
pub use self::violation::Violation;

/// A request. Each value is put by one request only.
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

/// The outcome of a request. Each has the revision of the header in the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The row was put, in place of this one.
    Put(i64, Option<Row>),
    /// The condition held, and the row was put.
    Swapped(i64),
    /// The condition did not hold; the row is this one.
    Rejected(i64, Option<Row>),
    /// The row was deleted, or there was none.
    Deleted(i64, Option<Row>),
    /// The row.
    Read(i64, Option<Row>),
    /// There was none: the request may have taken effect, and may still.
    Unknown,
}

/// One request. Times count from one moment that is the same for all.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The key.
    pub key: String,
    /// The request.
    pub call: Call,
    /// The response.
    pub outcome: Outcome,
    /// Not sent before this.
    pub sent: Duration,
    /// The response was there.
    pub received: Duration,
}

/// What clients have noted.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Requests, in no order.
    pub operations: Vec<Operation>,
    /// What each watch has reported, from the first revision on.
    pub watches: Vec<watch_history::History>,
}

impl Operation {
    /// The revision of its response, and whether the request has made this revision.
    pub fn place(&self) -> Option<(i64, bool)> {
        match &self.outcome {
            Outcome::Put(revision, _) | Outcome::Swapped(revision) => Some((*revision, true)),
            Outcome::Deleted(revision, row) => Some((*revision, row.is_some())),
            Outcome::Rejected(revision, _) | Outcome::Read(revision, _) => Some((*revision, false)),
            Outcome::Unknown => None,
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

/// Whether a request that began when `floor` was the highest acknowledged revision may have this revision: changes come
/// behind it, reads not before it.
pub fn is_in_time(revision: i64, floor: i64, is_change: bool) -> bool {
    revision > floor || (revision == floor && !is_change)
}
