//! Fetching the snapshot of a peer because the local data are wrong. Raft has no message for this, and etcd no path.

use std::sync::Arc;

use ferretcd_base::LogPosition;
use ferretcd_engine::{PeerError, PeerSnapshot};
use http::header::HeaderName;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::Full;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::body::SnapshotReader;
use super::chunks::{CHUNKS_MAX, ChunkReader};
use crate::client::{self, request};
use crate::headers::text;
use crate::peer::Peer;

/// The path of a member's snapshot; the query names the entry that must be in it.
pub(crate) const PATH: &str = "/ferretcd/state";
/// The query, before the index of that entry.
pub(crate) const AT_LEAST: &str = "at-least=";
/// The last entry in the snapshot.
pub(crate) const INDEX: HeaderName = HeaderName::from_static("x-ferretcd-index");
/// The term of that entry.
pub(crate) const TERM: HeaderName = HeaderName::from_static("x-ferretcd-term");

/// Fetches the snapshot of a peer.
pub(crate) async fn fetch(peer: Arc<Peer>, at_least: u64) -> Result<PeerSnapshot, PeerError> {
    let unreachable = |error: &dyn std::fmt::Display| PeerError::Unreachable(error.to_string());
    let local = &peer.local;
    let url = peer.url().map_err(|error| unreachable(&error))?;
    let path = format!("{PATH}?{AT_LEAST}{at_least}");
    let request = request(&url, Method::GET, &path, &local.identity, Full::default());
    // The peer reads the whole snapshot once before it responds.
    let response = timeout(local.config.snapshot_timeout, local.rpcs.send(request));
    let response = response.await.map_err(|_| PeerError::Timeout)?.map_err(|error| {
        peer.urls.failed(&url);
        unreachable(&error)
    })?;
    if response.status() != StatusCode::OK {
        let response = client::read(response).await.map_err(|error| unreachable(&error))?;
        return Err(match response.status {
            StatusCode::NOT_FOUND => PeerError::NotFound,
            status => PeerError::Rejected(format!("{status}: {}", response.text())),
        });
    }
    let number = |name| number(response.headers(), &name);
    let (Some(index), Some(term)) = (number(INDEX), number(TERM)) else {
        return Err(PeerError::Rejected("the answer does not say which state it is".to_owned()));
    };
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
    let mut body = SnapshotReader::new(response.into_body());
    let len = body.remaining();
    // Ends with the body, or when its reader is dropped.
    tokio::spawn(async move { body.send_chunks(&sender).await });
    Ok(PeerSnapshot {
        position: LogPosition::new(index, term),
        len,
        body: Box::new(ChunkReader::new(chunks)),
    })
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    text(headers, name)?.parse().ok()
}
