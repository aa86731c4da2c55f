//! Receiving the snapshot of a peer.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use ferretcd_api_proto::raftpb::{Message, MessageType};
use ferretcd_base::MemberId;
use ferretcd_wal::SnapshotMark;
use http::StatusCode;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::body::SnapshotReader;
use super::chunks::{CHUNKS_MAX, ChunkReader};
use super::mark::to_mark;
use crate::codec::decode;
use crate::local_context::LocalContext;
use crate::rejection::Rejection;

/// Bytes of the message before an image, at most; etcd's bound.
const HEAD_BYTES_MAX: u64 = 64 << 20;

/// Stores the image in the body of a request and delivers its message to the local member. `permit` is held until the image
/// is stored or dropped, also when the sender gives up earlier.
pub(crate) async fn receive(
    local: &Arc<LocalContext>,
    body: Incoming,
    permit: OwnedSemaphorePermit,
) -> Result<(), Rejection> {
    let mut body = SnapshotReader::new(body);
    let received = receive_counted(local, &mut body, permit).await;
    if received.is_err() {
        body.discard();
    }
    received
}

async fn receive_counted(
    local: &Arc<LocalContext>,
    body: &mut SnapshotReader,
    permit: OwnedSemaphorePermit,
) -> Result<(), Rejection> {
    let begun = Instant::now();
    let message = head(body).await.inspect_err(|_| {
        local.metrics.not_received(None);
        local.metrics.received_snapshots.failed(None);
    })?;
    let from = local.counted(MemberId(message.from()));
    let _inflight = local.metrics.received_snapshots.begin(from);
    let stored = store(local, message, body, permit).await;
    match &stored {
        Ok(()) => local.metrics.received_snapshots.succeeded(from, begun.elapsed()),
        Err(_) => local.metrics.received_snapshots.failed(Some(from)),
    }
    stored
}

/// Reads the message before the image.
async fn head(body: &mut SnapshotReader) -> Result<Message, Rejection> {
    let bad = |error: &dyn std::fmt::Display| {
        warn!(error = %error, "failed to decode Raft message");
        Rejection::text(StatusCode::BAD_REQUEST, format!("failed to decode raft message ({error})"))
    };
    let length = body.take(8).await.map_err(|error| bad(&error))?;
    let length = u64::from_be_bytes(length[..].try_into().expect("8 bytes were asked for"));
    if length > HEAD_BYTES_MAX {
        return Err(bad(&"rafthttp: error limit exceeded"));
    }
    let encoded = body.take(length as usize).await.map_err(|error| bad(&error))?;
    decode(encoded).map_err(|error| bad(&error))
}

async fn store(
    local: &Arc<LocalContext>,
    message: Message,
    body: &mut SnapshotReader,
    permit: OwnedSemaphorePermit,
) -> Result<(), Rejection> {
    let metadata = message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.as_ref());
    let Some(metadata) = metadata.filter(|_| message.r#type() == MessageType::MsgSnap) else {
        warn!("message-type" = message.r#type().as_str_name(), "unexpected Raft message type");
        return Err(Rejection::text(StatusCode::BAD_REQUEST, "wrong raft message type"));
    };
    let (mark, from) = (to_mark(metadata), MemberId(message.from()));
    local.admit(&message)?;
    info!(
        "local-member-id" = %local.id,
        "remote-snapshot-sender-id" = %from,
        "incoming-snapshot-index" = mark.index,
        "receiving database snapshot"
    );
    let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
    let (image, len) = (ChunkReader::new(chunks), body.remaining());
    let storing = {
        let local = Arc::clone(local);
        spawn_blocking(move || {
            let _permit = permit;
            save(&local, message, (mark, from), len, image)
        })
    };
    body.send_chunks(&sender).await;
    drop(sender);
    storing.await.unwrap_or_else(|_| {
        Err(Rejection::text(StatusCode::INTERNAL_SERVER_ERROR, "failed to save KV snapshot (thread ended)"))
    })
}

/// Stores the image, of `len` bytes if the sender announces them, and delivers the message. Blocks.
fn save(
    local: &LocalContext,
    message: Message,
    (mark, from): (SnapshotMark, MemberId),
    len: Option<u64>,
    mut image: ChunkReader,
) -> Result<(), Rejection> {
    let index = mark.index;
    local
        .member
        .accept_snapshot(mark, from, len, &mut image)
        .map_err(|error| not_saved(local, index, from, &error))?;
    local.metrics.received(local.counted(from), image.n_read);
    info!(
        "local-member-id" = %local.id,
        "remote-snapshot-sender-id" = %from,
        "incoming-snapshot-index" = index,
        "incoming-snapshot-size-bytes" = image.n_read,
        "received and saved database snapshot"
    );
    Ok(local.deliver_stored(message)?)
}

fn not_saved(local: &LocalContext, index: u64, from: MemberId, error: &io::Error) -> Rejection {
    warn!(
        "local-member-id" = %local.id,
        "remote-snapshot-sender-id" = %from,
        "incoming-snapshot-index" = index,
        error = %error,
        "failed to save incoming database snapshot"
    );
    Rejection::text(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to save KV snapshot ({error})"))
}
