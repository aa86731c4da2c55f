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
    /// The pages under `/debug`.
    pub debug: Debug,
}

/// Which pages there are under `/debug`, beside `/debug/vars`.
#[derive(Clone, Debug, Default)]
pub struct Debug {
    /// The command line of the process, without secrets.
    pub command_line: Vec<String>,
    /// Show profiles of the process.
    pub has_profiles: bool,
    /// Show how many calls there are.
    pub has_requests: bool,
}
