//! Sending the state to a member that is too far behind for the log.

use std::io;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use ferretcd_api_proto::raftpb::{Message, SnapshotMetadata};
use ferretcd_wal::SnapshotMark;
use http::{Method, Request};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::chunks::{SnapshotBody, pump};
use super::{PART_BYTES, PARTS_MAX, to_metadata};
use crate::client::{self, Reply, RequestBody, RequestError, request, with_type};
use crate::codec::Writer;
use crate::link::{Link, LinkError};
use crate::local_member::LocalMember;
use crate::local_member::PeerReport;

/// How many times the first pause after a failure the longest one is.
const PAUSE_GROWTH: u32 = 32;

/// Sends one snapshot after the other for as long as the task lives.
///
/// A failure is reported after a pause, because with the next sign of life of the other member the core announces the
/// state again, and each try reads all of it. Until then the core waits.
pub(crate) async fn run(link: Arc<Link>, mut messages: mpsc::Receiver<Message>) {
    let config = &link.local.config;
    let mut pause = config.snapshot_pause;
    let mut last_failure = Instant::now();
    while let Some(message) = messages.recv().await {
        let inflight = link.local.metrics.sent_snapshots.begin(link.id);
        let outcome = send(&link, message).await;
        drop(inflight);
        let Err(error) = outcome else {
            pause = config.snapshot_pause;
            link.liveness.activate();
            link.local.member.report(PeerReport::Snapshot { to: link.id, is_sent: true });
            continue;
        };
        failed(&link, &error);
        let pause_max = PAUSE_GROWTH * config.snapshot_pause;
        if last_failure.elapsed() > 2 * pause_max {
            pause = config.snapshot_pause;
        }
        sleep(pause).await;
        pause = (2 * pause).min(pause_max);
        last_failure = Instant::now();
        // If the core has announced another state meanwhile, in a later term, it waits for the word about that one.
        if messages.is_empty() {
            link.local.member.report(PeerReport::Snapshot { to: link.id, is_sent: false });
        }
    }
}

fn failed(link: &Link, error: &LinkError) {
    link.liveness.deactivate("post", "sendMsgSnap", &error.to_string());
    link.counters.sent_failures.inc();
    link.local.metrics.sent_snapshots.failed(Some(link.id));
    link.local.member.report(PeerReport::Unreachable(link.id));
}

async fn send(link: &Link, mut message: Message) -> Result<(), LinkError> {
    let begun = Instant::now();
    let metadata = message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.as_ref());
    let at_least = metadata.map_or(0, SnapshotMetadata::index);
    let opened = open(&link.local.member, at_least, ()).await?;
    let (index, len) = (opened.mark.index, opened.len);
    message.snapshot.get_or_insert_default().metadata = Some(to_metadata(&opened.mark));
    info!(
        "snapshot-index" = index,
        "remote-peer-id" = %link.id,
        bytes = len,
        "sending database snapshot"
    );
    let url = link.url()?;
    let head = head(message);
    let sent_bytes = head.len() as u64 + len;
    let (sent, all_sent) = oneshot::channel();
    let body = RequestBody::Snapshot(SnapshotBody::new(head, opened.parts, len, sent));
    let request = request(&url, Method::POST, "/raft/snapshot", &link.local.identity, body);
    let reply = post(link, with_type(request, "application/octet-stream"), all_sent).await;
    let posted = reply.map_err(LinkError::from).and_then(|reply| link.check_posted(&reply));
    match &posted {
        Ok(()) => {
            link.counters.sent_bytes.inc_by(sent_bytes);
            link.local.metrics.sent_snapshots.succeeded(link.id, begun.elapsed());
            info!(
                "snapshot-index" = index,
                "remote-peer-id" = %link.id,
                bytes = len,
                "sent database snapshot"
            );
        }
        Err(error) => {
            link.urls.failed(&url);
            warn!(
                "snapshot-index" = index,
                "remote-peer-id" = %link.id,
                bytes = len,
                error = %error,
                "failed to send database snapshot"
            );
        }
    }
    posted
}

/// An image that a thread reads.
pub(super) struct Opened {
    pub(super) mark: SnapshotMark,
    pub(super) len: u64,
    pub(super) parts: mpsc::Receiver<io::Result<Bytes>>,
}

/// Opens the state and begins to read it. The thread ends when the parts are dropped, and keeps the permit up to then.
pub(super) async fn open(
    member: &Arc<dyn LocalMember>,
    at_least: u64,
    permit: impl Send + 'static,
) -> io::Result<Opened> {
    let member = Arc::clone(member);
    let (sender, opened) = oneshot::channel();
    spawn_blocking(move || {
        let _permit = permit;
        match member.open_snapshot(at_least) {
            Ok(mut snapshot) => {
                let (parts, receiver) = mpsc::channel(PARTS_MAX);
                let opened = Opened { mark: snapshot.mark, len: snapshot.len, parts: receiver };
                if sender.send(Ok(opened)).is_ok() {
                    pump(&mut *snapshot.body, &parts, PART_BYTES);
                }
            }
            // Nobody waits for it any more if the task was ended.
            Err(error) => drop(sender.send(Err(error))),
        }
    });
    opened.await.unwrap_or_else(|_| Err(io::Error::other("the thread that reads it was not begun")))
}

/// What stands before the image.
fn head(message: Message) -> Bytes {
    let mut writer = Writer::default();
    writer.message(message);
    let mut pieces = writer.finish();
    pieces.copy_to_bytes(pieces.remaining())
}

/// Sends the request. The image may take as long as it moves at all, the answer to it may not.
async fn post(
    link: &Link,
    request: Request<RequestBody>,
    all_sent: oneshot::Receiver<()>,
) -> Result<Reply, RequestError> {
    let answered = async { client::read(link.local.calls.send(request).await?).await };
    let too_late = async {
        if all_sent.await.is_err() {
            // The body was dropped, so the answer is there or the connection is gone.
            std::future::pending::<()>().await;
        }
        sleep(link.local.config.snapshot_timeout).await;
    };
    tokio::select! {
        reply = answered => reply,
        () = too_late => Err(RequestError::Timeout),
    }
}
