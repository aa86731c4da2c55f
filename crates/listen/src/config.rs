use std::time::Duration;

/// How HTTP is spoken.
#[derive(Clone, Debug)]
pub struct Config {
    /// Streams that one connection may have open.
    pub concurrent_streams_max: u32,
    /// After how much silence the server pings a client; `None` for never.
    pub keepalive_interval: Option<Duration>,
    /// How long the response to a ping may take before the connection is closed.
    pub keepalive_timeout: Duration,
    /// How long connections may go on after the port has begun to drain.
    pub drain_timeout: Duration,
}
