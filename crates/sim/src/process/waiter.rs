//! Requests that wait in a member.

use crate::check::OpId;
use crate::event_queue::Micros;

/// Why a read does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    Stopped,
    Timeout,
}

/// The origin of a proposal, which gets its outcome.
#[derive(Clone, Copy, Debug)]
pub(super) enum Requester {
    Client(OpId),
    /// A client whose lease was renewed for so many seconds.
    Renewal(OpId, i64),
    None,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) since: Micros,
    pub(super) requester: Requester,
}
