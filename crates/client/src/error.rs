//! Failed calls.

use std::io;

use tonic::{Code, Status};

use crate::connection::NotGrpc;
use crate::malformed;

/// A call without a response. The texts are lower-case fragments that complete "failed to ...", but for those that
/// etcd's own client has.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An endpoint is malformed.
    #[error(
        "connect to {0:?}: it is neither an http://, https://, unix:// or unixs:// URL nor a host with a port"
    )]
    Endpoint(String),
    /// An endpoint is encrypted, and [`Config::tls`](crate::Config::tls) is not set.
    #[error("connect to {0}: no certificates are configured for it")]
    NoTls(String),
    /// [`Config::endpoints`](crate::Config::endpoints) is empty.
    #[error("connect: there are no endpoints")]
    NoEndpoints,
    /// No endpoint can be reached; this is the last one's error.
    #[error("connect to {endpoint}: {source}")]
    Connect {
        /// As a URL.
        endpoint: String,
        /// Of the socket, of TLS or of HTTP/2.
        source: io::Error,
    },
    /// There was no connection, or no response, in time.
    #[error("context deadline exceeded")]
    Timeout,
    /// The connection broke, the response is malformed or too long, or the server speaks another protocol.
    #[error("call {path}: {reason}")]
    Exchange {
        /// The method.
        path: &'static str,
        /// What was received, or the error of the connection.
        reason: String,
    },
    /// The server rejected the request.
    #[error("rpc error: code = {code} desc = {text}")]
    Status {
        /// gRPC's number of the code.
        code: i32,
        /// The server's text.
        text: String,
    },
    /// The server rejected name or password.
    #[error("authenticate {user}: rpc error: code = {code} desc = {text}")]
    Authenticate {
        /// The name.
        user: String,
        /// gRPC's number of the code.
        code: i32,
        /// The server's text.
        text: String,
    },
}

impl Error {
    /// Sorts out what the gRPC library reports as one: errors of the connection and responses of the server.
    pub(crate) fn of_call(path: &'static str, status: &Status) -> Self {
        let mut source = std::error::Error::source(status);
        while let Some(error) = source {
            if error.is::<hyper::Error>() || error.is::<NotGrpc>() {
                return Self::Exchange { path, reason: error.to_string() };
            }
            source = error.source();
        }
        if let Some(reason) = malformed::reason(status) {
            return Self::Exchange { path, reason };
        }
        Self::Status { code: status.code() as i32, text: status.message().to_owned() }
    }

    /// The connection broke, or the member behind it can't serve requests now: another member may.
    pub(crate) fn is_of_member(&self) -> bool {
        match self {
            Self::Exchange { .. } => true,
            Self::Status { code, .. } => *code == Code::Unavailable as i32,
            _ => false,
        }
    }

    /// A new connection may do better: this one is broken, slow, or has a token that the server does not accept.
    pub(crate) fn is_of_connection(&self) -> bool {
        let is_token = matches!(self, Self::Status { code, .. } if *code == Code::Unauthenticated as i32);
        is_token || matches!(self, Self::Timeout) || self.is_of_member()
    }
}
