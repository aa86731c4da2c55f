//! The bytes on a stream, both ways, without any I/O.
//!
//! | stream | frame |
//! |---|---|
//! | messages | length (8 bytes, big-endian), [`raftpb::Message`] |
//! | appends | kind (1 byte) and what it says, see [`appends`] |
//!
//! A decoder is fed with whatever pieces the network makes and gives messages. What it allocates is bounded by
//! what it has received, never by what a length field claims, and no bytes make it panic.
//!
//! [`raftpb::Message`]: ferretcd_api_proto::raftpb::Message

pub(crate) mod appends;
mod decode;
pub(crate) mod messages;
mod read_buffer;
mod writer;

pub(crate) use read_buffer::Inbound;
pub(crate) use writer::{Pieces, Writer, rough_len};

use bytes::Bytes;
use ferretcd_api_proto::raftpb::Message;
use prost::Message as _;

/// The largest message or entry that is taken from a stream, in bytes; etcd's bound.
pub(crate) const MESSAGE_BYTES_MAX: u64 = 512 << 20;
/// Entries of one message. At some bytes each on the wire they would be many times that in memory.
pub(crate) const ENTRIES_MAX: usize = 1 << 20;

/// Why a stream cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("read a message of {0} bytes: more than {MESSAGE_BYTES_MAX}")]
    TooLarge(u64),
    #[error("read a message of more than {ENTRIES_MAX} entries")]
    TooManyEntries,
    #[error("read a message: it carries messages for the storage of another member")]
    Responses,
    #[error("read a frame of kind {0}: there is none")]
    UnknownKind(u8),
    #[error("read entries: no message before them says where they belong")]
    NoContext,
    #[error("read a message: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// What a frame held.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// A message, and how many bytes it took.
    Message(Box<Message>, usize),
    /// A sign of life.
    Heartbeat,
}

/// Takes a message apart. Its `bytes` fields share `encoded`.
pub(crate) fn decode(encoded: Bytes) -> Result<Message, CodecError> {
    decode::check(&encoded)?;
    Ok(Message::decode(encoded)?)
}

fn bounded(length: u64) -> Result<usize, CodecError> {
    if length > MESSAGE_BYTES_MAX {
        return Err(CodecError::TooLarge(length));
    }
    usize::try_from(length).map_err(|_| CodecError::TooLarge(length))
}
