//! Why the server rejects a request.

use http::StatusCode;

/// A request that is not served, as the response will say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// Only the named method is allowed.
    Method(&'static str),
    /// The two members do not fit.
    Precondition(&'static str),
    /// Plain text with a status.
    Text(StatusCode, String),
    /// A message in JSON, as etcd sends it.
    Json(StatusCode, &'static str),
}

impl Rejection {
    pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::Text(status, text.into())
    }
}
