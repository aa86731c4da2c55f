//! What the services are configured with.

use std::time::Duration;

use ferretcd_ui::Reach;

/// Plain data without hidden defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The largest encoded proposal, in bytes. Messages may be 512 KiB larger.
    pub request_bytes_max: usize,
    /// Operations in one branch of a transaction, nested ones included.
    pub txn_ops_max: usize,
    /// How often a watch that requested it gets a progress notice.
    pub watch_progress_interval: Duration,
    /// A unary call that takes longer is logged as a warning.
    pub slow_request: Duration,
    /// How long a client may take nothing of a long response before its connection is closed.
    pub response_stall_max: Duration,
    /// Whether to measure how long calls take.
    pub extensive_metrics: bool,
    /// Whether calls can be made by JSON, where there are pages.
    pub has_gateway: bool,
    /// Which connections get the page for people, where there are pages.
    pub ui: Reach,
}

/// What a message may have on top of the largest proposal, in bytes.
const MESSAGE_OVERHEAD: usize = 512 * 1024;

impl Config {
    /// The largest message that is read, in bytes.
    pub(crate) fn message_bytes_max(&self) -> usize {
        self.request_bytes_max.saturating_add(MESSAGE_OVERHEAD)
    }
}
