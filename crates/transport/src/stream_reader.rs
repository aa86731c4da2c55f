//! Streams of messages from a peer. The reader dials them, because it knows when one is missing.

use std::sync::Arc;

use bytes::Bytes;
use ferretcd_api_proto::raftpb::Message;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::client::{self, innermost, request};
use crate::codec::{CodecError, Frame, appends, messages};
use crate::headers::{self, CLUSTER_ID, CLUSTER_MISMATCH, INCOMPATIBLE_VERSION, RAFT_TO};
use crate::local_member::PeerReport;
use crate::peer::{ExchangeError, Peer, StreamKind};

/// Reads one kind of stream from a peer until the task is aborted.
pub(crate) async fn run(peer: Arc<Peer>, kind: StreamKind) {
    info!(
        "stream-reader-type" = kind.name(),
        "local-member-id" = %peer.local.id,
        "remote-peer-id" = %peer.id,
        "started stream reader with remote peer"
    );
    loop {
        let attempted = Instant::now();
        match dial(&peer, kind).await {
            Ok(body) => read_and_log(&peer, kind, body).await,
            Err(error) => peer.status.deactivate("dial", kind.name(), &error.to_string()),
        }
        sleep_until(attempted + peer.local.config.retry_pause).await;
    }
}

async fn read_and_log(peer: &Peer, kind: StreamKind, body: Incoming) {
    peer.status.activate();
    info!(
        "stream-reader-type" = kind.name(),
        "local-member-id" = %peer.local.id,
        "remote-peer-id" = %peer.id,
        "established TCP streaming connection with remote peer"
    );
    let ended = read(peer, kind, body).await;
    warn!(
        "stream-reader-type" = kind.name(),
        "local-member-id" = %peer.local.id,
        "remote-peer-id" = %peer.id,
        error = ended.as_ref().map_or_else(ToString::to_string, |()| "EOF".to_owned()),
        "lost TCP streaming connection with remote peer"
    );
    if let Err(error) = ended {
        peer.status.deactivate("read", kind.name(), &error.to_string());
    }
}

/// Requests the stream of a peer.
async fn dial(peer: &Peer, kind: StreamKind) -> Result<Incoming, ExchangeError> {
    let (local, url) = (&peer.local, peer.url()?);
    let path = format!("/raft/stream/{}/{}", kind.segment(), local.id);
    debug!(from = %local.id, to = %peer.id, address = %url, "dial stream reader");
    let mut request = request(&url, Method::GET, &path, &local.identity, Full::default());
    request.headers_mut().insert(RAFT_TO, headers::hex(peer.id));
    let outcome = match local.streams.send(request).await {
        Ok(response) if response.status() == StatusCode::OK => return Ok(response.into_body()),
        Ok(response) => rejected(peer, response).await,
        Err(error) => error.into(),
    };
    peer.urls.failed(&url);
    Err(outcome)
}

/// What a response without a stream means.
async fn rejected(peer: &Peer, response: http::Response<Incoming>) -> ExchangeError {
    match response.status() {
        StatusCode::GONE if peer.is_of_cluster(response.headers()) => {
            peer.local.member.report(PeerReport::Removed);
            ExchangeError::Removed
        }
        StatusCode::NOT_FOUND => ExchangeError::Unknown,
        StatusCode::PRECONDITION_FAILED => match client::read(response).await {
            Ok(response) => precondition(peer, &response),
            Err(error) => error.into(),
        },
        status => ExchangeError::Status(status),
    }
}

fn precondition(peer: &Peer, response: &client::FullResponse) -> ExchangeError {
    let rejected = response.text();
    match rejected.as_str() {
        INCOMPATIBLE_VERSION => warn!(
            "local-member-id" = %peer.local.id,
            "remote-peer-id" = %peer.id,
            error = rejected,
            "request sent was ignored by remote peer due to server version incompatibility"
        ),
        CLUSTER_MISMATCH => warn!(
            "remote-peer-id" = %peer.id,
            "remote-peer-cluster-id" = headers::text(&response.headers, &CLUSTER_ID).unwrap_or_default(),
            "local-member-id" = %peer.local.id,
            "local-member-cluster-id" = %peer.local.cluster,
            error = rejected,
            "request sent was ignored by remote peer due to cluster ID mismatch"
        ),
        _ => {}
    }
    ExchangeError::Precondition(rejected)
}

/// Why a stream broke off.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("{0}")]
    Broken(String),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Delivers the messages of a stream to the local member until the stream ends.
async fn read(peer: &Peer, kind: StreamKind, mut body: Incoming) -> Result<(), StreamError> {
    let mut decoder = Decoder::new(peer, kind);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| StreamError::Broken(innermost(&error)))?;
        let Ok(chunk) = frame.into_data() else { continue };
        // Another connection may have failed since the stream began, and would not become active again by itself.
        peer.status.activate();
        decoder.push(chunk);
        while let Some(frame) = decoder.next()? {
            match frame {
                Frame::Heartbeat => {
                    peer.counters.received_heartbeats.inc_by(messages::HEARTBEAT_BYTES as u64);
                }
                Frame::Message(message, bytes) => receive(peer, *message, bytes),
            }
        }
    }
    Ok(())
}

fn receive(peer: &Peer, message: Message, bytes: usize) {
    peer.counters.received_bytes.inc_by(bytes as u64);
    if peer.local.deliver(message).is_err() {
        peer.counters.received_failures.inc();
    }
}

enum Decoder {
    Appends(Box<appends::Decoder>),
    Messages(messages::Decoder),
}

impl Decoder {
    fn new(peer: &Peer, kind: StreamKind) -> Self {
        match kind {
            StreamKind::Appends => Self::Appends(Box::new(appends::Decoder::new(peer.local.id.0, peer.id.0))),
            StreamKind::Messages => Self::Messages(messages::Decoder::default()),
        }
    }

    fn push(&mut self, chunk: Bytes) {
        match self {
            Self::Appends(decoder) => decoder.push(chunk),
            Self::Messages(decoder) => decoder.push(chunk),
        }
    }

    fn next(&mut self) -> Result<Option<Frame>, CodecError> {
        match self {
            Self::Appends(decoder) => decoder.next(),
            Self::Messages(decoder) => decoder.next(),
        }
    }
}
