//! Sending a snapshot to a peer that is too far behind for the log.

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

use super::chunks::{CHUNK_BYTES, CHUNKS_MAX, SnapshotBody, pump};
use super::mark::to_metadata;
use crate::client::{self, FullResponse, RequestBody, RequestError, request, with_type};
use crate::codec::Writer;
use crate::local_member::LocalMember;
use crate::peer::{ExchangeError, Peer};

/// The longest pause after failures, as a multiple of the first one.
const PAUSE_GROWTH: u32 = 32;

/// Sends one snapshot after the other until the task is aborted.
///
/// A failure is reported after a pause: the core announces the snapshot again with the peer's next heartbeat response, and
/// each try reads all of it. Until the report the core waits.
pub(crate) async fn run(peer: Arc<Peer>, mut messages: mpsc::Receiver<Message>) {
    let config = &peer.local.config;
    let mut pause = config.snapshot_pause;
    let mut last_failure = Instant::now();
    while let Some(message) = messages.recv().await {
        let inflight = peer.local.metrics.sent_snapshots.begin(peer.id);
        let outcome = send(&peer, message).await;
        drop(inflight);
        let Err(error) = outcome else {
            pause = config.snapshot_pause;
            peer.status.activate();
            peer.report_snapshot(true);
            continue;
        };
        failed(&peer, &error);
        let pause_max = PAUSE_GROWTH * config.snapshot_pause;
        if last_failure.elapsed() > 2 * pause_max {
            pause = config.snapshot_pause;
        }
        sleep(pause).await;
        pause = (2 * pause).min(pause_max);
        last_failure = Instant::now();
        // The core may have announced another snapshot meanwhile, in a later term. It waits for the report about that one.
        if messages.is_empty() {
            peer.report_snapshot(false);
        }
    }
}

fn failed(peer: &Peer, error: &ExchangeError) {
    peer.status.deactivate("post", "sendMsgSnap", &error.to_string());
    peer.counters.sent_failures.inc();
    peer.local.metrics.sent_snapshots.failed(Some(peer.id));
    peer.report_unreachable();
}

async fn send(peer: &Peer, mut message: Message) -> Result<(), ExchangeError> {
    let begun = Instant::now();
    let metadata = message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.as_ref());
    let at_least = metadata.map_or(0, SnapshotMetadata::index);
    let opened = open(&peer.local.member, at_least, ()).await?;
    let (index, len) = (opened.mark.index, opened.len);
    message.snapshot.get_or_insert_default().metadata = Some(to_metadata(&opened.mark));
    info!(
        "snapshot-index" = index,
        "remote-peer-id" = %peer.id,
        bytes = len,
        "sending database snapshot"
    );
    let url = peer.url()?;
    let head = head(message);
    let sent_bytes = head.len() as u64 + len;
    let (sent, all_sent) = oneshot::channel();
    let body = opened.into_body(head, sent);
    let request = request(&url, Method::POST, "/raft/snapshot", &peer.local.identity, body);
    let response = post(peer, with_type(request, "application/octet-stream"), all_sent).await;
    let posted = response.map_err(ExchangeError::from).and_then(|response| peer.check_posted(&response));
    match &posted {
        Ok(()) => {
            peer.counters.sent_bytes.inc_by(sent_bytes);
            peer.local.metrics.sent_snapshots.succeeded(peer.id, begun.elapsed());
            info!(
                "snapshot-index" = index,
                "remote-peer-id" = %peer.id,
                bytes = len,
                "sent database snapshot"
            );
        }
        Err(error) => {
            peer.urls.failed(&url);
            warn!(
                "snapshot-index" = index,
                "remote-peer-id" = %peer.id,
                bytes = len,
                error = %error,
                "failed to send database snapshot"
            );
        }
    }
    posted
}

/// The snapshot of the local member while a thread reads it.
pub(crate) struct OpenedSnapshot {
    pub(crate) mark: SnapshotMark,
    /// Bytes of the image.
    pub(crate) len: u64,
    chunks: mpsc::Receiver<io::Result<Bytes>>,
}

impl OpenedSnapshot {
    /// The body of `head` and the image. The body completes `sent` when all of it was taken.
    pub(crate) fn into_body(self, head: Bytes, sent: oneshot::Sender<()>) -> SnapshotBody {
        SnapshotBody::new(head, self.chunks, self.len, sent)
    }
}

/// Opens the snapshot and begins to read it. The thread ends when the chunks are dropped, and holds `permit` until then.
pub(crate) async fn open(
    member: &Arc<dyn LocalMember>,
    at_least: u64,
    permit: impl Send + 'static,
) -> io::Result<OpenedSnapshot> {
    let member = Arc::clone(member);
    let (sender, opened) = oneshot::channel();
    spawn_blocking(move || {
        let _permit = permit;
        match member.open_snapshot(at_least) {
            Ok(mut snapshot) => {
                let (chunks, receiver) = mpsc::channel(CHUNKS_MAX);
                let opened = OpenedSnapshot { mark: snapshot.mark, len: snapshot.len, chunks: receiver };
                if sender.send(Ok(opened)).is_ok() {
                    pump(&mut *snapshot.body, &chunks, CHUNK_BYTES);
                }
            }
            // The receiver is gone if the task was aborted.
            Err(error) => drop(sender.send(Err(error))),
        }
    });
    opened.await.unwrap_or_else(|_| Err(io::Error::other("the thread that reads it was not begun")))
}

/// The bytes before the image.
fn head(message: Message) -> Bytes {
    let mut writer = Writer::default();
    writer.message(message);
    let mut chunks = writer.finish();
    chunks.copy_to_bytes(chunks.remaining())
}

/// Sends the request. The image may take as long as its bytes move; the response to it has a time-out.
async fn post(
    peer: &Peer,
    request: Request<RequestBody>,
    all_sent: oneshot::Receiver<()>,
) -> Result<FullResponse, RequestError> {
    let response = async { client::read(peer.local.rpcs.send(request).await?).await };
    let too_late = async {
        if all_sent.await.is_err() {
            // The body was dropped, so the response has arrived or the connection is lost.
            std::future::pending::<()>().await;
        }
        sleep(peer.local.config.snapshot_timeout).await;
    };
    tokio::select! {
        response = response => response,
        () = too_late => Err(RequestError::Timeout),
    }
}
