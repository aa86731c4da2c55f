//! Rules that are broken on purpose, to see whether the checks find it.

/// A rule that the members of a run break. What comes of it the checks must find within some seeds, else they are
/// not worth much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A step is reported to the raft core as durable when its write begins.
    AcknowledgeBeforeSync,
    /// All requests for a read index have one token, so that a late response to an earlier one confirms a
    /// later one.
    ReuseReadTokens,
    /// A member that believes to lead serves linearizable reads without a quorum.
    ReadWithoutQuorum,
    /// A member that believes to lead takes itself and any requester of a read index for a quorum.
    TakeAnyPairForAQuorum,
    /// The raft core gets the message of a snapshot before that is stored.
    AnnounceBeforeStored,
    /// The raft core does not get accepted changes of the members.
    KeepOldConfiguration,
    /// Rows reach the state file without the position in the log that they bring it to.
    ForgetPosition,
    /// A member that ceased to lead goes on with its old countdown of leases when it leads again.
    KeepOldCountdown,
    /// A watch that was lost is created again from the last revision that was received, not from behind it.
    ResumeTooEarly,
}
