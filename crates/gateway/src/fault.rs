//! What is wrong with a request or a response, before it is a status.

use crate::json::scanner::SyntaxError;

/// Why a call is not made, or has no response. The texts reach clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// No method has the path.
    #[error("Not Found")]
    Path,
    /// The request is no `POST`.
    #[error("Method Not Allowed")]
    Method,
    /// The text of a request is not JSON.
    #[error("{0}")]
    Syntax(SyntaxError),
    /// The JSON of a request is not one of its message.
    #[error("{0}")]
    Message(String),
    /// A header that says something about the call is malformed.
    #[error("{0}")]
    Header(String),
    /// The call would have more headers than there can be.
    #[error("too many header fields")]
    Headers,
    /// The text of a request is too long.
    #[error("grpc: received message larger than max ({n_bytes} vs. {bytes_max})")]
    TooLarge { n_bytes: usize, bytes_max: usize },
    /// The client has gone before the end of its request.
    #[error("the request broke off")]
    BrokenOff,
    /// The response ended within a message.
    #[error("the response ended within a message")]
    Cut,
}

impl From<SyntaxError> for Fault {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}
