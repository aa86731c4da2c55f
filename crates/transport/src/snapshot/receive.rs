//! Receiving the state of another member.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferretcd_api_proto::raftpb::{Message, MessageType};
use ferretcd_base::MemberId;
use ferretcd_wal::SnapshotMark;
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{info, warn};

use super::chunks::{Part, PartReader};
use super::{PARTS_MAX, to_mark};
use crate::client::innermost;
use crate::codec::{Inbound, decode};
use crate::local_context::Local;
use crate::response::Refusal;

/// The largest message in front of an image, in bytes; etcd's bound.
const HEAD_BYTES_MAX: u64 = 64 << 20;
/// How long a body may pause.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a body is read that nobody wants any more.
const LINGER: Duration = Duration::from_millis(500);

/// Stores the image in the body of a request and gives its message to the member. `alone` keeps others out until
/// the image is stored or given up, also when the sender does not wait for that.
pub(crate) async fn receive(
    local: &Arc<Local>,
    body: Incoming,
    alone: OwnedSemaphorePermit,
) -> Result<(), Refusal> {
    let mut body = Source::new(body);
    let received = take_in(local, &mut body, alone).await;
    if received.is_err() {
        linger(body.body);
    }
    received
}

/// Reads on for a moment what is refused. A socket that is closed while there is something to read resets the
/// connection, and whoever still writes then may not get to read why.
pub(crate) fn linger(mut body: Incoming) {
    tokio::spawn(timeout(LINGER, async move { while let Some(Ok(_)) = body.frame().await {} }));
}

async fn take_in(local: &Arc<Local>, body: &mut Source, alone: OwnedSemaphorePermit) -> Result<(), Refusal> {
    let begun = Instant::now();
    let message = head(body).await.inspect_err(|_| {
        local.metrics.not_received(None);
        local.metrics.received_snapshots.failed(None);
    })?;
    let from = local.counted(MemberId(message.from()));
    let _inflight = local.metrics.received_snapshots.begin(from);
    let stored = store(local, message, body, alone).await;
    match &stored {
        Ok(()) => local.metrics.received_snapshots.succeeded(from, begun.elapsed()),
        Err(_) => local.metrics.received_snapshots.failed(Some(from)),
    }
    stored
}

/// A body, piece by piece.
pub(super) struct Source {
    body: Incoming,
    inbound: Inbound,
}

impl Source {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, inbound: Inbound::default() }
    }

    /// Bytes that are to come, if the other side has said so.
    pub(super) fn remaining(&self) -> Option<u64> {
        let coming = self.body.size_hint().exact()?;
        Some(coming.saturating_add(self.inbound.len() as u64))
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let frame = timeout(PATIENCE, self.body.frame()).await.map_err(|_| io::ErrorKind::TimedOut)?;
            match frame.transpose().map_err(|error| io::Error::other(innermost(&error)))? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    async fn take(&mut self, n: usize) -> io::Result<Bytes> {
        loop {
            if let Some(taken) = self.inbound.take(n) {
                return Ok(taken);
            }
            let piece = self.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.inbound.push(piece);
        }
    }
}

/// Reads the message in front of the image.
async fn head(body: &mut Source) -> Result<Message, Refusal> {
    let bad = |error: &dyn std::fmt::Display| {
        warn!(error = %error, "failed to decode Raft message");
        Refusal::text(StatusCode::BAD_REQUEST, format!("failed to decode raft message ({error})"))
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
    local: &Arc<Local>,
    message: Message,
    body: &mut Source,
    alone: OwnedSemaphorePermit,
) -> Result<(), Refusal> {
    let metadata = message.snapshot.as_ref().and_then(|snapshot| snapshot.metadata.as_ref());
    let Some(metadata) = metadata.filter(|_| message.r#type() == MessageType::MsgSnap) else {
        warn!("message-type" = message.r#type().as_str_name(), "unexpected Raft message type");
        return Err(Refusal::text(StatusCode::BAD_REQUEST, "wrong raft message type"));
    };
    let (mark, from) = (to_mark(metadata), MemberId(message.from()));
    local.admit(&message)?;
    info!(
        "local-member-id" = %local.id,
        "remote-snapshot-sender-id" = %from,
        "incoming-snapshot-index" = mark.index,
        "receiving database snapshot"
    );
    let (sender, parts) = mpsc::channel(PARTS_MAX);
    let (image, len) = (PartReader::new(parts), body.remaining());
    let storing = {
        let local = Arc::clone(local);
        spawn_blocking(move || {
            let _alone = alone;
            save(&local, message, (mark, from), len, image)
        })
    };
    feed(body, &sender).await;
    drop(sender);
    storing.await.unwrap_or_else(|_| {
        Err(Refusal::text(StatusCode::INTERNAL_SERVER_ERROR, "failed to save KV snapshot (thread ended)"))
    })
}

/// Gives the pieces of the body to the thread, as fast as it takes them.
pub(super) async fn feed(body: &mut Source, parts: &mpsc::Sender<Part>) {
    let rest = std::mem::take(&mut body.inbound).into_rest();
    let mut part = Part::Data(rest);
    loop {
        let is_last = !matches!(part, Part::Data(_));
        if parts.send(part).await.is_err() || is_last {
            return;
        }
        part = match body.next().await {
            Ok(Some(piece)) => Part::Data(piece),
            Ok(None) => Part::End,
            Err(error) => Part::Broken(error),
        };
    }
}

/// Stores the image, of `len` bytes if the sender says so, and tells the member. On a thread that may block.
fn save(
    local: &Local,
    message: Message,
    (mark, from): (SnapshotMark, MemberId),
    len: Option<u64>,
    mut image: PartReader,
) -> Result<(), Refusal> {
    let index = mark.index;
    if let Err(error) = local.member.accept_snapshot(mark, from, len, &mut image) {
        warn!(
            "local-member-id" = %local.id,
            "remote-snapshot-sender-id" = %from,
            "incoming-snapshot-index" = index,
            error = %error,
            "failed to save incoming database snapshot"
        );
        let text = format!("failed to save KV snapshot ({error})");
        return Err(Refusal::text(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
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
