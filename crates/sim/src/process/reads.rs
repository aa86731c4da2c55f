//! The linearizable reads that wait in a member.

use ferretcd_base::LeaseId;
use ferretcd_raft_node::ReadRounds;
use tokio::sync::oneshot;

use super::waiter::ReadError;
use crate::check::OpId;

/// The work that waits until the member is up to date.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Rows for a client.
    Range(OpId),
    /// More time for a client's lease.
    Renew(OpId, LeaseId),
    /// The end of expired leases, as far as this member leads in this term.
    Expire(u64),
}

/// Reads that wait.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub(super) rounds: ReadRounds<oneshot::Sender<Result<(), ReadError>>>,
    pub(super) waiting: Vec<(oneshot::Receiver<Result<(), ReadError>>, Purpose)>,
    /// The token of the request whose response is waited for.
    pub(super) requested: u64,
}

impl Reads {
    /// Clients' reads that wait.
    pub(super) fn n_of_clients(&self) -> usize {
        assert!(self.rounds.n_waiting() <= self.waiting.len(), "each read is waited for");
        self.waiting.iter().filter(|(_, purpose)| !matches!(purpose, Purpose::Expire(_))).count()
    }
}
