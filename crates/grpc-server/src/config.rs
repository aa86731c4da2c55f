//! What the services and their port are configured with.

use std::time::Duration;

/// Plain data without hidden defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The largest encoded proposal, in bytes. Messages may be [`MESSAGE_OVERHEAD`](Self::message_bytes_max)
    /// larger.
    pub request_bytes_max: usize,
    /// Operations in one branch of a transaction, nested ones included.
    pub txn_ops_max: usize,
    /// Streams that one connection may have open.
    pub concurrent_streams_max: u32,
    /// After how much silence the server pings a client; `None` for never.
    pub keepalive_interval: Option<Duration>,
    /// How long the answer to a ping may take before the connection is closed.
    pub keepalive_timeout: Duration,
    /// How often a watch that asked for it is told that nothing has happened.
    pub watch_progress_interval: Duration,
    /// A unary call that takes longer is logged as a warning.
    pub slow_request: Duration,
    /// Whether to measure how long calls take.
    pub extensive_metrics: bool,
    /// How long connections may go on after the server was told to stop.
    pub drain_timeout: Duration,
}

/// What a message may have on top of the largest proposal, in bytes.
const MESSAGE_OVERHEAD: usize = 512 * 1024;

impl Config {
    /// The largest message that is read, in bytes.
    pub fn message_bytes_max(&self) -> usize {
        self.request_bytes_max.saturating_add(MESSAGE_OVERHEAD)
    }
}
