//! What the threads, facets and controllers of a member hand to each other.

use std::sync::Arc;

use ferretcd_auth::AuthReader;
use ferretcd_base::Threshold;
use tokio::sync::watch;

use crate::apply::inbox::Inbox;
use crate::auth::tokens::Tokens;
use crate::budget::ResponseBudget;
use crate::flusher::Flusher;
use crate::lease::lessor::Lessor;
use crate::maintenance::quota_exceeded::QuotaExceeded;
use crate::metrics::Metrics;
use crate::proposer::submissions::Submissions;
use crate::proposer::waiters::Waiters;
use crate::replies::{Dispatcher, ReadRounds};
use crate::shared::Shared;
use crate::watch::watching::Watching;

/// One end of each queue and of each shared fact. Whatever is built at the start takes from here what it needs.
#[derive(Clone, Debug)]
pub(crate) struct Channels {
    /// Work for the apply thread.
    pub(crate) inbox: Arc<Inbox>,
    /// Rows for the thread `state-file`.
    pub(crate) flusher: Flusher,
    /// Work for the thread `watch`.
    pub(crate) watching: Arc<Watching>,
    /// Requests for the raft driver.
    pub(crate) submissions: Arc<Submissions>,
    /// Proposals that wait for their outcome.
    pub(crate) waiters: Arc<Waiters>,
    /// Linearizable reads that wait for a read index.
    pub(crate) read_rounds: Arc<ReadRounds>,
    /// Requests that wait for the NOSPACE alarm.
    pub(crate) quota_exceeded: Arc<QuotaExceeded>,
    /// Entries and reads that take longer are logged.
    pub(crate) slow_apply: Threshold,
    /// The countdown of leases.
    pub(crate) lessor: Arc<Lessor>,
    /// Users and rights.
    pub(crate) rights: AuthReader,
    /// Counts up when users, roles or rights have changed.
    pub(crate) rights_changed: Arc<watch::Sender<u64>>,
    /// The tokens of users that have logged in.
    pub(crate) tokens: Arc<Tokens>,
    /// Outcomes for futures on the runtime.
    pub(crate) dispatcher: Dispatcher,
    /// The memory for long responses.
    pub(crate) budget: ResponseBudget,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Channels {
    /// Users, roles or rights have changed: what relies on them looks at them again.
    pub(crate) fn notify_rights_changed(&self) {
        self.watching.rights_changed();
        self.rights_changed.send_modify(|count| *count += 1);
    }
}
