//! The bytes on a stream, both ways, without any I/O.
//!
//! | stream | frame |
//! |---|---|
//! | messages | length (8 bytes, big-endian), [`raftpb::Message`] |
//! | appends | kind (1 byte) and its fields, see [`appends`] |
//!
//! A decoder takes chunks as the network cuts them and returns messages. Its allocations are bounded by the bytes that it
//! has received, never by a length field, and no bytes make it panic.
//!
//! [`raftpb::Message`]: ferretcd_api_proto::raftpb::Message

pub(crate) mod appends;
mod decode;
mod frame;
pub(crate) mod messages;
mod read_buffer;
mod writer;

pub(crate) use decode::decode;
pub(crate) use frame::{CodecError, Frame, MESSAGE_BYTES_MAX};
pub(crate) use read_buffer::ReadBuffer;
pub(crate) use writer::{Chunks, Writer, rough_len};
