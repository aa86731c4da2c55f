//! What can be found wrong.

use super::{Change, Row};
use crate::watch_history;

/// A promise that was broken. Each text completes "failed to ...".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An acknowledged change is not there.
    #[error(
        "keep the change that was answered with revision {revision}: there is {found:?}; it was {operation}"
    )]
    Lost {
        /// Of the response.
        revision: i64,
        /// What is at its place.
        found: Option<Change>,
        /// The request.
        operation: String,
    },
    /// A change was made, or left out, against its condition.
    #[error("decide by the row before revision {revision}: it was {before:?}; asked for was {operation}")]
    Condition {
        /// Of the change.
        revision: i64,
        /// The row.
        before: Option<Row>,
        /// The request.
        operation: String,
    },
    /// The row before a change is wrong.
    #[error("tell the row before revision {revision}: it was {before:?}; asked for was {operation}")]
    Previous {
        /// Of the change.
        revision: i64,
        /// The row.
        before: Option<Row>,
        /// The request.
        operation: String,
    },
    /// A read shows another row than there is.
    #[error("read the row at revision {revision}: it is {expected:?}; asked for was {operation}")]
    Read {
        /// Of the response.
        revision: i64,
        /// The row.
        expected: Option<Row>,
        /// The request.
        operation: String,
    },
    /// A request has a revision that was over when it was sent.
    #[error(
        "order in time: revision {revision}, but {floor} was answered before it was asked; it was {operation}"
    )]
    Stale {
        /// Of the request.
        revision: i64,
        /// The highest one that was acknowledged before.
        floor: i64,
        /// The request.
        operation: String,
    },
    /// A request took effect twice.
    #[error("change something once: revision {first} and again {second}; it was {operation}")]
    Twice {
        /// First effect.
        first: i64,
        /// Second effect.
        second: i64,
        /// The request.
        operation: String,
    },
    /// No request explains a change.
    #[error("do only what was asked for: revision {revision} is {change:?}")]
    Invented {
        /// Of the change.
        revision: i64,
        /// The change.
        change: Change,
    },
    /// One change was acknowledged to two requests.
    #[error("change something for each request: revision {revision} is that of {first} and of {second}")]
    Shared {
        /// Of the change.
        revision: i64,
        /// One request.
        first: String,
        /// The other one.
        second: String,
    },
    /// A watch leaves something out, or reports something else.
    #[error("tell watch {watch} what happens: failed to {source}")]
    Watch {
        /// Its number.
        watch: usize,
        /// The broken promise.
        source: watch_history::Violation,
    },
}
