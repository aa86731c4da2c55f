//! Intervals and time-outs of a member.

use crate::event_queue::{MS, Micros};

/// The interval of heartbeats.
pub(super) const TICK: Micros = 100 * MS;
/// Ticks without a leader before an election.
pub(super) const ELECTION_TICKS: usize = 10;
/// The election time-out, without what chance adds.
pub(super) const ELECTION: Micros = ELECTION_TICKS as Micros * TICK;
/// How often overdue requests are looked for.
pub(super) const SWEEP: Micros = 500 * MS;
/// How long a member waits before it replies that the result is unknown.
pub(super) const TIMEOUT: Micros = 7_000 * MS;
/// How often leases are looked after.
pub(super) const LEASES: Micros = 100 * MS;
/// How long a removed member still runs.
pub(super) const STOP_AFTER_REMOVAL: Micros = 1_000 * MS;
