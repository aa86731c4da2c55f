//! How a client connects.

use std::fmt;
use std::time::Duration;

use ferretcd_tls::ClientTls;

/// As in etcd's own client, responses are not limited.
const RESPONSE_BYTES_MAX: usize = i32::MAX as usize;

/// Settings of a client. [`Config::new`] has etcd's defaults; the fields are free to change.
#[derive(Clone, Debug)]
pub struct Config {
    /// `http://`, `https://`, `unix://` or `unixs://` URLs, or hosts with a port. Tried in this order. What follows `unix://` is
    /// the path of a Unix socket.
    pub endpoints: Vec<String>,
    /// For `https://` and `unixs://` endpoints; its ALPN has to name `h2`.
    pub tls: Option<ClientTls>,
    /// Whether endpoints without a scheme are encrypted.
    pub encrypts_by_default: bool,
    /// The longest time to connect to one endpoint, TLS included; `None` for no limit.
    pub connect_timeout: Option<Duration>,
    /// The longest time from a request to its response; `None` for no limit. Of a stream, to its first response.
    pub request_timeout: Option<Duration>,
    /// The longest response to [`Client::call`](crate::Client::call), in bytes.
    pub response_bytes_max: usize,
    /// Pings on a quiet connection.
    pub keep_alive: Option<KeepAlive>,
    /// HTTP/2 windows; `None` for the library's, which are large.
    pub windows: Option<Windows>,
    /// The user; `None` without authentication.
    pub credentials: Option<Credentials>,
    /// Whether reads are sent again, to the other endpoints.
    pub retry_reads: bool,
}

/// When an HTTP/2 connection is checked with pings, and when it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Time without a frame after which a ping is sent. At least 10 s are waited: etcd closes connections with more
    /// pings.
    pub interval: Duration,
    /// The longest time to the reply.
    pub timeout: Duration,
}

/// How many bytes a server may send ahead of the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Of one call. At least 65,535.
    pub stream: u32,
    /// Of all calls together.
    pub connection: u32,
}

/// A user's name and password. The password is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Config {
    /// Unencrypted, without a user and without limits of time; reads are retried.
    pub fn new<T: Into<String>>(endpoints: impl IntoIterator<Item = T>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            tls: None,
            encrypts_by_default: false,
            connect_timeout: None,
            request_timeout: None,
            response_bytes_max: RESPONSE_BYTES_MAX,
            keep_alive: None,
            windows: None,
            credentials: None,
            retry_reads: true,
        }
    }
}
