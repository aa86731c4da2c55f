use std::time::Duration;

/// How the pages behave.
#[derive(Clone, Debug)]
pub struct Config {
    /// Origins whose scripts may read the responses; `*` stands for all, as does an empty list.
    pub cors: Vec<String>,
    /// Hosts that requests without TLS may name, compared without the port; `*` stands for all, as does an
    /// empty list.
    pub host_whitelist: Vec<String>,
    /// How long a page waits for its read.
    pub read_timeout: Duration,
}
