//! Messages that no stream takes. Each is posted by itself.

use std::sync::Arc;

use ferretcd_api_proto::raftpb::Message;
use http::Method;
use http_body_util::Full;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client::{request, with_type};
use crate::peer::{ExchangeError, Peer};

/// Messages that wait, at most.
pub(crate) const WAITING_MAX: usize = 64;
/// Messages in flight, at most.
const IN_FLIGHT_MAX: usize = 4;

/// Posts messages until the task is aborted. None is sent twice.
pub(crate) async fn run(peer: Arc<Peer>, mut messages: mpsc::Receiver<Message>) {
    let mut in_flight = JoinSet::new();
    while let Some(message) = messages.recv().await {
        if in_flight.len() >= IN_FLIGHT_MAX {
            in_flight.join_next().await;
        }
        while in_flight.try_join_next().is_some() {}
        in_flight.spawn(post(Arc::clone(&peer), message));
    }
}

async fn post(peer: Arc<Peer>, message: Message) {
    let body = message.encode_to_vec();
    let bytes = body.len();
    match try_post(&peer, body).await {
        Ok(()) => {
            peer.status.activate();
            peer.counters.sent_bytes.inc_by(bytes as u64);
        }
        Err(error) => {
            peer.status.deactivate("write", "pipeline", &error.to_string());
            peer.counters.sent_failures.inc();
            peer.report_unreachable();
        }
    }
}

async fn try_post(peer: &Peer, body: Vec<u8>) -> Result<(), ExchangeError> {
    let (local, url) = (&peer.local, peer.url()?);
    let request = request(&url, Method::POST, "/raft", &local.identity, Full::new(body.into()));
    let request = with_type(request, "application/protobuf");
    let response = local.rpcs.call(request, local.config.call_timeout).await.map_err(ExchangeError::from);
    let posted = response.and_then(|response| peer.check_posted(&response));
    if posted.is_err() {
        peer.urls.failed(&url);
    }
    posted
}
