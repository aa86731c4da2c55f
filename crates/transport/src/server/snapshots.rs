//! Snapshots in both directions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{info, warn};

use super::request::{add_sender, expect_method};
use crate::headers;
use crate::local_context::LocalContext;
use crate::peer_table::PeerTable;
use crate::rejection::Rejection;
use crate::response::{HttpResponse, ResponseBody, no_content};
use crate::snapshot::{self, AT_LEAST, INDEX, TERM};

/// How long a snapshot waits for the ones before it: as long as a member needs to notice that their peer has given up.
const TURN_TIMEOUT: Duration = Duration::from_secs(1);

/// `/raft/snapshot`: the snapshot of a peer.
pub(super) async fn receive(
    local: &Arc<LocalContext>,
    peers: &PeerTable,
    request: Request<Incoming>,
) -> Result<HttpResponse, Rejection> {
    let (head, body) = request.into_parts();
    let admitted = expect_method(&head.method, &Method::POST)
        .and_then(|()| headers::check(&head.headers, local.id, local.cluster));
    if let Err(rejection) = admitted {
        local.metrics.received_snapshots.failed(None);
        snapshot::discard(body);
        return Err(rejection);
    }
    add_sender(peers, &head.headers);
    let turn = Arc::clone(&local.receiving).acquire_owned();
    let Ok(Ok(permit)) = timeout(TURN_TIMEOUT, turn).await else {
        let sender = headers::sender(&head.headers).map(|id| local.counted(id));
        local.metrics.received_snapshots.failed(sender);
        snapshot::discard(body);
        let text = "another snapshot is being received";
        return Err(Rejection::text(StatusCode::INTERNAL_SERVER_ERROR, text));
    };
    snapshot::receive(local, body, permit).await?;
    Ok(no_content())
}

/// `/ferretcd/state`: the snapshot of the local member, for a member that fetches it.
pub(super) async fn send(
    local: &Arc<LocalContext>,
    peers: &PeerTable,
    request: &Request<Incoming>,
) -> Result<HttpResponse, Rejection> {
    expect_method(request.method(), &Method::GET)?;
    headers::check(request.headers(), local.id, local.cluster)?;
    let to = headers::sender(request.headers()).filter(|id| peers.member(*id).is_some());
    let to = to.ok_or_else(|| Rejection::text(StatusCode::FORBIDDEN, "error sender not found"))?;
    let at_least = request.uri().query().and_then(|query| query.strip_prefix(AT_LEAST)?.parse().ok());
    let at_least =
        at_least.ok_or_else(|| Rejection::text(StatusCode::BAD_REQUEST, "which entry is missing"))?;
    let turn = Arc::clone(&local.fetches).acquire_owned();
    let Ok(Ok(permit)) = timeout(TURN_TIMEOUT, turn).await else {
        let text = "other members are being sent the state";
        return Err(Rejection::text(StatusCode::SERVICE_UNAVAILABLE, text));
    };
    let opened = snapshot::open(&local.member, at_least, permit).await.map_err(|error| {
        warn!("remote-peer-id" = %to, %error, "failed to open the state for a peer");
        Rejection::text(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    })?;
    let (index, term) = (opened.mark.index, opened.mark.term);
    info!("remote-peer-id" = %to, index, bytes = opened.len, "sending the state to a peer that asked for it");
    // No task waits for the end of this body.
    let (sent, _) = oneshot::channel();
    let mut response = Response::new(ResponseBody::other(opened.into_body(Bytes::new(), sent)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(INDEX, index.into());
    headers.insert(TERM, term.into());
    Ok(response)
}
