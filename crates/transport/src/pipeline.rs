//! Messages that no stream takes: each is posted by itself.

use std::sync::Arc;

use ferretcd_api_proto::raftpb::Message;
use http::Method;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client::{request, with_type};
use crate::link::{Link, LinkError};
use crate::local_member::PeerReport;

/// Messages that wait at most.
pub(crate) const WAITING_MAX: usize = 64;
/// Messages under way at the same time.
const UNDER_WAY_MAX: usize = 4;

/// Posts what comes for as long as the task lives. Nothing is sent twice.
pub(crate) async fn run(link: Arc<Link>, mut messages: mpsc::Receiver<Message>) {
    let mut under_way = JoinSet::new();
    while let Some(message) = messages.recv().await {
        if under_way.len() >= UNDER_WAY_MAX {
            under_way.join_next().await;
        }
        while under_way.try_join_next().is_some() {}
        under_way.spawn(post(Arc::clone(&link), message));
    }
}

async fn post(link: Arc<Link>, message: Message) {
    let body = message.encode_to_vec();
    let bytes = body.len();
    match try_post(&link, body).await {
        Ok(()) => {
            link.liveness.activate();
            link.counters.sent_bytes.inc_by(bytes as u64);
        }
        Err(error) => {
            link.liveness.deactivate("write", "pipeline", &error.to_string());
            link.counters.sent_failures.inc();
            link.local.member.report(PeerReport::Unreachable(link.id));
        }
    }
}

async fn try_post(link: &Link, body: Vec<u8>) -> Result<(), LinkError> {
    let (local, url) = (&link.local, link.url()?);
    let request = request(&url, Method::POST, "/raft", &local.identity, bytes::Bytes::from(body));
    let request = with_type(request, "application/protobuf");
    let reply = local.calls.call(request, local.config.call_timeout).await.map_err(LinkError::from);
    let posted = reply.and_then(|reply| link.check_posted(&reply));
    if posted.is_err() {
        link.urls.failed(&url);
    }
    posted
}
