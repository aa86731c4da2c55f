//! Streams from another member: dialled here, for it is the reader who knows when one is missing.

use std::sync::Arc;

use bytes::Bytes;
use ferretcd_api_proto::raftpb::Message;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::client::{self, innermost, request};
use crate::codec::{CodecError, Frame, appends, messages};
use crate::headers::{self, CLUSTER_ID, CLUSTER_MISMATCH, INCOMPATIBLE_VERSION, RAFT_TO};
use crate::link::{Link, LinkError, StreamKind};
use crate::local_member::PeerReport;

/// Reads one kind of stream from a member for as long as the task lives.
pub(crate) async fn run(link: Arc<Link>, kind: StreamKind) {
    info!(
        "stream-reader-type" = kind.name(),
        "local-member-id" = %link.local.id,
        "remote-peer-id" = %link.id,
        "started stream reader with remote peer"
    );
    loop {
        let attempted = Instant::now();
        match dial(&link, kind).await {
            Ok(body) => serve(&link, kind, body).await,
            Err(error) => link.liveness.deactivate("dial", kind.name(), &error.to_string()),
        }
        sleep_until(attempted + link.local.config.retry_pause).await;
    }
}

async fn serve(link: &Link, kind: StreamKind, body: Incoming) {
    link.liveness.activate();
    info!(
        "stream-reader-type" = kind.name(),
        "local-member-id" = %link.local.id,
        "remote-peer-id" = %link.id,
        "established TCP streaming connection with remote peer"
    );
    let ended = read(link, kind, body).await;
    warn!(
        "stream-reader-type" = kind.name(),
        "local-member-id" = %link.local.id,
        "remote-peer-id" = %link.id,
        error = ended.as_ref().map_or_else(ToString::to_string, |()| "EOF".to_owned()),
        "lost TCP streaming connection with remote peer"
    );
    if let Err(error) = ended {
        link.liveness.deactivate("read", kind.name(), &error.to_string());
    }
}

/// Asks a member for its stream.
async fn dial(link: &Link, kind: StreamKind) -> Result<Incoming, LinkError> {
    let (local, url) = (&link.local, link.url()?);
    let path = format!("/raft/stream/{}/{}", kind.segment(), local.id);
    debug!(from = %local.id, to = %link.id, address = %url, "dial stream reader");
    let mut request = request(&url, Method::GET, &path, &local.identity, Bytes::new());
    request.headers_mut().insert(RAFT_TO, headers::hex(link.id));
    let outcome = match local.streams.send(request).await {
        Ok(response) if response.status() == StatusCode::OK => return Ok(response.into_body()),
        Ok(response) => refused(link, response).await,
        Err(error) => error.into(),
    };
    link.urls.failed(&url);
    Err(outcome)
}

/// What an answer means that is no stream.
async fn refused(link: &Link, response: http::Response<Incoming>) -> LinkError {
    match response.status() {
        StatusCode::GONE if link.is_of_cluster(response.headers()) => {
            link.local.member.report(PeerReport::Removed);
            LinkError::Removed
        }
        StatusCode::NOT_FOUND => LinkError::Unknown,
        StatusCode::PRECONDITION_FAILED => match client::read(response).await {
            Ok(reply) => precondition(link, &reply),
            Err(error) => error.into(),
        },
        status => LinkError::Status(status),
    }
}

fn precondition(link: &Link, reply: &client::Reply) -> LinkError {
    let refused = reply.text();
    match refused.as_str() {
        INCOMPATIBLE_VERSION => warn!(
            "local-member-id" = %link.local.id,
            "remote-peer-id" = %link.id,
            error = refused,
            "request sent was ignored by remote peer due to server version incompatibility"
        ),
        CLUSTER_MISMATCH => warn!(
            "remote-peer-id" = %link.id,
            "remote-peer-cluster-id" = headers::text(&reply.headers, &CLUSTER_ID).unwrap_or_default(),
            "local-member-id" = %link.local.id,
            "local-member-cluster-id" = %link.local.cluster,
            error = refused,
            "request sent was ignored by remote peer due to cluster ID mismatch"
        ),
        _ => {}
    }
    LinkError::Precondition(refused)
}

/// Why a stream has ended before its end.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("{0}")]
    Broken(String),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Gives what comes to the member, up to the stream's end.
async fn read(link: &Link, kind: StreamKind, mut body: Incoming) -> Result<(), StreamError> {
    let mut decoder = Decoder::new(link, kind);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| StreamError::Broken(innermost(&error)))?;
        let Ok(chunk) = frame.into_data() else { continue };
        // Something else with the member may have failed since the stream has begun, and is not tried again.
        link.liveness.activate();
        decoder.push(chunk);
        while let Some(frame) = decoder.next()? {
            match frame {
                Frame::Heartbeat => {
                    link.counters.received_from_nobody.inc_by(messages::HEARTBEAT_BYTES as u64);
                }
                Frame::Message(message, bytes) => receive(link, *message, bytes),
            }
        }
    }
    Ok(())
}

fn receive(link: &Link, message: Message, bytes: usize) {
    link.counters.received_bytes.inc_by(bytes as u64);
    if link.local.deliver(message).is_err() {
        link.counters.received_failures.inc();
    }
}

enum Decoder {
    Appends(Box<appends::Decoder>),
    Messages(messages::Decoder),
}

impl Decoder {
    fn new(link: &Link, kind: StreamKind) -> Self {
        match kind {
            StreamKind::Appends => Self::Appends(Box::new(appends::Decoder::new(link.local.id.0, link.id.0))),
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
