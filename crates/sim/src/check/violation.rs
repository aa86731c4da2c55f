//! The rules that a run can break.

use ferretcd_testkit::watch_history;

/// A rule that was broken. Each text completes "failed to ...".
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Violation {
    /// Two members lead in one term.
    #[error("have one leader in term {term}: {first} and {second}")]
    TwoLeaders {
        /// The term.
        term: u64,
        /// The first leader.
        first: u64,
        /// The other one.
        second: u64,
    },
    /// Members have different entries at one place of the log.
    #[error("agree on entry {index}: member {member} has {found}, others {expected}")]
    Log {
        /// The place.
        index: u64,
        /// The member that has another one.
        member: u64,
        /// Its value.
        found: String,
        /// The value of the others.
        expected: String,
    },
    /// A member leaves out entries, or applies them twice.
    #[error("apply entries one by one: member {member} applies {found} instead of {expected}")]
    Order {
        /// The member.
        member: u64,
        /// The entry it applies.
        found: u64,
        /// The one that is due.
        expected: u64,
    },
    /// A member applies an entry that a crash would take from its log.
    #[error("apply synced entries only: member {member} applies {found}, its log is synced up to {synced}")]
    Unsynced {
        /// The member.
        member: u64,
        /// The entry it applies.
        found: u64,
        /// The last entry that is durable in its log.
        synced: u64,
    },
    /// An entry has an effect on a member that it should not have.
    #[error("apply entry {index} on member {member}: {found}, expected {expected}")]
    Outcome {
        /// The entry.
        index: u64,
        /// The member.
        member: u64,
        /// The outcome.
        found: String,
        /// The expected outcome.
        expected: String,
    },
    /// Members differ after the same entry.
    #[error("have equal states at entry {index}: member {member} has {found}, member {other} {expected}")]
    State {
        /// The entry.
        index: u64,
        /// The member.
        member: u64,
        /// Its value.
        found: String,
        /// Another member.
        other: u64,
        /// The value of that one.
        expected: String,
    },
    /// The histories of members differ.
    #[error(
        "have equal histories at revision {revision}, compacted {compacted}: members {member} and {other}"
    )]
    History {
        /// The revision up to which they should be equal.
        revision: i64,
        /// The compacted revision.
        compacted: i64,
        /// A member.
        member: u64,
        /// Another member.
        other: u64,
    },
    /// A request took effect twice, or after its reply excluded that.
    #[error("apply request {op} once: it is in the log again, or was said to be dropped: {call}")]
    Again {
        /// Its number.
        op: usize,
        /// The request.
        call: String,
    },
    /// A reply is not the expected one.
    #[error("answer request {op} as it is: {found}, expected {expected}; it was {call}")]
    Reply {
        /// Its number.
        op: usize,
        /// The request.
        call: String,
        /// The reply.
        found: String,
        /// The expected reply.
        expected: String,
    },
    /// A request has a revision that was over when it began.
    #[error(
        "order request {op} in time: revision {revision}, but {floor} was known before it began; it was {call}"
    )]
    Stale {
        /// Its number.
        op: usize,
        /// The request.
        call: String,
        /// The revision of its reply or effect.
        revision: i64,
        /// The revision that another client knew before.
        floor: i64,
    },
    /// A lease ended before its time.
    #[error("keep lease {lease} until {until} us: it was ended at {ended} us")]
    Expired {
        /// The lease.
        lease: i64,
        /// The promised end.
        until: u64,
        /// When it was ended.
        ended: u64,
    },
    /// A watch received something else than what happened.
    #[error("tell watcher {watcher} what happens: failed to {source}")]
    Watch {
        /// Its number.
        watcher: usize,
        /// The broken promise.
        source: watch_history::Violation,
    },
    /// A member gave up, or could not start, although nothing happened to it that it must not survive.
    #[error("keep member {member} running: {reason}")]
    Failed {
        /// The member.
        member: u64,
        /// Why it gave up.
        reason: String,
    },
    /// The faults are over, but the cluster does not work again.
    #[error("recover when the faults are over: {reason}")]
    Stuck {
        /// The failure.
        reason: String,
    },
}
