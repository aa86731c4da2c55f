//! Checks and bodies of requests.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::headers;
use crate::peer_table::PeerTable;
use crate::rejection::Rejection;

/// How long a body that is read as a whole may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Rejects all methods but one.
pub(super) fn expect_method(method: &Method, allowed: &Method) -> Result<(), Rejection> {
    if method == allowed {
        return Ok(());
    }
    Err(Rejection::Method(if *allowed == Method::GET { "GET" } else { "POST" }))
}

/// Reads a whole body of at most `bytes_max`.
pub(super) async fn whole_body(body: Incoming, bytes_max: usize) -> Result<Bytes, BodyRejected> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, bytes_max).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyRejected::TooLarge),
        Ok(Err(_)) | Err(_) => Err(BodyRejected::Broken),
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyRejected {
    TooLarge,
    Broken,
}

/// Adds the sender of a request to the peers if the request names its URLs.
pub(super) fn add_sender(peers: &PeerTable, headers: &HeaderMap) {
    if let Some(from) = headers::sender(headers) {
        peers.add_remote(from, &headers::peer_urls(headers));
    }
}
