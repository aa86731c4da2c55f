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
    /// The shortest time between two pings of a client that has a call open; without a call it is two hours. A client that
    /// sends three too early is sent away. It holds for connections in the clear, and above TLS where the endpoint says so.
    pub ping_interval_min: Duration,
    /// How long connections may go on after the port has begun to drain.
    pub drain_timeout: Duration,
}
