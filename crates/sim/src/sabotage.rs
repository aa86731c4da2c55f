//! Rules that are broken on purpose, to see whether anybody notices.

/// A rule that the members of a run break. What comes of it the checks must find within some seeds, else they are
/// not worth much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The raft core is told that a step is durable when its write begins.
    AcknowledgeBeforeSync,
    /// All questions for a read index are asked under one token, so that a late answer to an earlier one confirms a
    /// later one.
    ReuseReadTokens,
    /// Who believes to lead answers linearizable reads without asking anybody.
    ReadWithoutAsking,
    /// Who believes to lead takes himself and whoever asks about a read for a quorum.
    TakeAnyPairForAQuorum,
    /// The raft core hears of a state from the leader before it is stored.
    AnnounceBeforeStored,
    /// The raft core is not told of changes of the members that were accepted.
    KeepOldConfiguration,
    /// Rows reach the state file without the position in the log that they bring it to.
    ForgetPosition,
    /// A member that ceased to lead goes on with its old countdown of leases when it leads again.
    KeepOldCountdown,
    /// A watch that was lost is asked for again from the last revision that was told, not from behind it.
    ResumeTooEarly,
}
