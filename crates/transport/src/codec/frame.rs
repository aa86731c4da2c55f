//! Frames, their limits, and the errors of reading them.

use ferretcd_api_proto::raftpb::Message;

/// Bytes of a message or entry on a stream, at most; etcd's bound.
pub(crate) const MESSAGE_BYTES_MAX: u64 = 512 << 20;
/// Entries of a message, at most. An entry of a few bytes on the wire takes many times that in memory.
pub(super) const ENTRIES_MAX: usize = 1 << 20;

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

/// The content of a frame.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// A message and its bytes on the wire.
    Message(Box<Message>, usize),
    Heartbeat,
}

pub(super) fn bounded(length: u64) -> Result<usize, CodecError> {
    if length > MESSAGE_BYTES_MAX {
        return Err(CodecError::TooLarge(length));
    }
    usize::try_from(length).map_err(|_| CodecError::TooLarge(length))
}
