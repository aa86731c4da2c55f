//! The state of a member for another that asks for it, because its own is wrong: no message of raft, and a path that
//! etcd does not have.

use std::sync::Arc;

use bytes::Bytes;
use ferretcd_engine::{PeerError, PeerSnapshot};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{info, warn};

use super::chunks::{PartReader, SnapshotBody};
use super::receive::{Source, feed};
use super::send::open;
use super::{PARTS_MAX, TURN_PATIENCE};
use crate::PeerTransport;
use crate::client::{self, request};
use crate::headers::{self, text};
use crate::link::Link;
use crate::local_context::Local;
use crate::response::{Answer, AnswerBody, Refusal};

/// Where a member is asked for its state, with the entry that has to be in it.
pub(crate) const PATH: &str = "/ferretcd/state";
/// What stands before the number of that entry.
const AT_LEAST: &str = "at-least=";
/// The last entry that is in the state, and its term.
const INDEX: HeaderName = HeaderName::from_static("x-ferretcd-index");
const TERM: HeaderName = HeaderName::from_static("x-ferretcd-term");

/// Asks a member.
pub(crate) async fn fetch(link: Arc<Link>, at_least: u64) -> Result<PeerSnapshot, PeerError> {
    let unreachable = |error: &dyn std::fmt::Display| PeerError::Unreachable(error.to_string());
    let local = &link.local;
    let url = link.url().map_err(|error| unreachable(&error))?;
    let path = format!("{PATH}?{AT_LEAST}{at_least}");
    let request = request(&url, Method::GET, &path, &local.identity, Bytes::new());
    // It reads all of it once before it answers.
    let answer = timeout(local.config.snapshot_timeout, local.calls.send(request));
    let answer = answer.await.map_err(|_| PeerError::Timeout)?.map_err(|error| {
        link.urls.failed(&url);
        unreachable(&error)
    })?;
    if answer.status() != StatusCode::OK {
        let reply = client::read(answer).await.map_err(|error| unreachable(&error))?;
        return Err(match reply.status {
            StatusCode::NOT_FOUND => PeerError::NotFound,
            status => PeerError::Rejected(format!("{status}: {}", reply.text())),
        });
    }
    let number = |name| number(answer.headers(), &name);
    let (Some(index), Some(term)) = (number(INDEX), number(TERM)) else {
        return Err(PeerError::Rejected("the answer does not say which state it is".to_owned()));
    };
    let (sender, parts) = mpsc::channel(PARTS_MAX);
    let mut body = Source::new(answer.into_body());
    let len = body.remaining();
    // Ends with the body, or when nobody reads it any more.
    tokio::spawn(async move { feed(&mut body, &sender).await });
    Ok(PeerSnapshot { index, term, len, body: Box::new(PartReader::new(parts)) })
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// Answers a member that asks.
pub(crate) async fn serve(
    local: &Arc<Local>,
    transport: &PeerTransport,
    request: &Request<Incoming>,
) -> Result<Answer, Refusal> {
    headers::check(request.headers(), local.id, local.cluster)?;
    let to = headers::sender(request.headers()).filter(|id| transport.knows(*id));
    let to = to.ok_or_else(|| Refusal::text(StatusCode::FORBIDDEN, "error sender not found"))?;
    let at_least = request.uri().query().and_then(|query| query.strip_prefix(AT_LEAST)?.parse().ok());
    let at_least =
        at_least.ok_or_else(|| Refusal::text(StatusCode::BAD_REQUEST, "which entry is missing"))?;
    let turn = Arc::clone(transport.asked_for()).acquire_owned();
    let Ok(Ok(permit)) = timeout(TURN_PATIENCE, turn).await else {
        return Err(Refusal::text(StatusCode::SERVICE_UNAVAILABLE, "other members are being sent the state"));
    };
    let opened = open(&local.member, at_least, permit).await.map_err(|error| {
        warn!("remote-peer-id" = %to, %error, "failed to open the state for a peer");
        Refusal::text(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    })?;
    info!("remote-peer-id" = %to, index = opened.mark.index, bytes = opened.len, "sending the state to a peer that asked for it");
    // Nobody waits for its end.
    let (sent, _) = oneshot::channel();
    let body = SnapshotBody::new(Bytes::new(), opened.parts, opened.len, sent);
    let mut answer = Response::new(AnswerBody::other(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(INDEX, opened.mark.index.into());
    headers.insert(TERM, opened.mark.term.into());
    Ok(answer)
}
