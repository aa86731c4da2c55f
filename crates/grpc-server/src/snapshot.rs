//! The Snapshot method: the whole state, for backups.
//!
//! ```text
//! | image of a bolt file, in blobs of 32 KiB | SHA-256 of the image, a message of its own |
//! ```
//!
//! All blobs behind one another are a snapshot file.

use std::io::{self, Read, Write};

use bytes::Bytes;
use ferretcd_api_proto::errors::Error;
use ferretcd_api_proto::etcdserverpb::SnapshotResponse;
use ferretcd_bolt::HashWriter;
use ferretcd_engine::{Caller, Maintenance, OutgoingSnapshot};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::status::status;

/// Bytes of the image in a message, as clients of etcd get them.
const BLOB_BYTES: usize = 32 << 10;
/// Blobs that are read at once, and messages that wait for a client.
const READ_BLOBS: usize = 16;

pub(crate) type SnapshotStream = ReceiverStream<Result<SnapshotResponse, Status>>;

/// The state as it is now. Blobs are read on a thread that may block, which is released while a slow client takes
/// its time; the room of what writers replace meanwhile is not.
pub(crate) fn stream(maintenance: Maintenance, caller: Caller, version: String) -> SnapshotStream {
    let (messages, stream) = mpsc::channel(READ_BLOBS);
    tokio::spawn(async move {
        if let Err(error) = send(maintenance, caller, version, &messages).await {
            // It cannot be sent if the client has gone.
            let _ = messages.send(Err(error)).await;
        }
    });
    ReceiverStream::new(stream)
}

/// Sends everything, unless the client goes.
async fn send(
    maintenance: Maintenance,
    caller: Caller,
    version: String,
    messages: &mpsc::Sender<Result<SnapshotResponse, Status>>,
) -> Result<(), Status> {
    let message = |remaining_bytes, blob| {
        Ok(SnapshotResponse { header: None, remaining_bytes, blob, version: version.clone() })
    };
    maintenance.check_root(&caller).await.map_err(status)?;
    let mut sending = blocking(move || Sending::open(&maintenance, &caller)).await?;
    while sending.left > 0 {
        let mut remaining = sending.left;
        let (rest, mut blobs) = blocking(move || {
            let blobs = sending.read_next()?;
            Ok((sending, blobs))
        })
        .await?;
        sending = rest;
        while !blobs.is_empty() {
            let blob = blobs.split_to(BLOB_BYTES.min(blobs.len()));
            remaining -= blob.len() as u64;
            if messages.send(message(remaining, blob)).await.is_err() {
                return Ok(());
            }
        }
    }
    let (_, hash) = sending.hash.finish();
    let _ = messages.send(message(0, Bytes::copy_from_slice(&hash))).await;
    Ok(())
}

/// A snapshot that is being sent.
struct Sending {
    snapshot: OutgoingSnapshot,
    /// The hash of what was read so far.
    hash: HashWriter<io::Sink>,
    /// Bytes of the image that are still to be read.
    left: u64,
}

impl Sending {
    fn open(maintenance: &Maintenance, caller: &Caller) -> io::Result<Self> {
        let snapshot = maintenance.open_snapshot(caller, 0).map_err(io::Error::other)?;
        let left = snapshot.size();
        Ok(Self { snapshot, hash: HashWriter::new(io::sink()), left })
    }

    /// The next blobs in one buffer, all of them full but for the last of the image.
    fn read_next(&mut self) -> io::Result<Bytes> {
        let len = self.left.min((READ_BLOBS * BLOB_BYTES) as u64);
        let mut blobs = vec![0; usize::try_from(len).expect("it is at most some blobs")];
        self.snapshot.read_exact(&mut blobs)?;
        self.hash.write_all(&blobs)?;
        self.left -= len;
        Ok(blobs.into())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            tracing::warn!(%error, "failed to send a snapshot to a client");
            Err(status(Error::Stopped))
        }
        Err(_) => Err(status(Error::Stopped)),
    }
}
