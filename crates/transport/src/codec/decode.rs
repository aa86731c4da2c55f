//! Decoding of messages, after a check of their size in memory.

use bytes::Bytes;
use ferretcd_api_proto::raftpb::Message;
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};

use super::frame::{CodecError, ENTRIES_MAX};

/// The field of a message that repeats entries.
const ENTRIES: u32 = 7;
/// The field that nests messages. Only a member and its own storage use it.
const RESPONSES: u32 = 14;

/// Decodes a message. Its `bytes` fields share `encoded`.
pub(crate) fn decode(encoded: Bytes) -> Result<Message, CodecError> {
    check(&encoded)?;
    Ok(Message::decode(encoded)?)
}

/// Rejects messages that take much more memory than bytes on the wire.
fn check(mut encoded: &[u8]) -> Result<(), CodecError> {
    let mut entries = 0;
    while !encoded.is_empty() {
        let (tag, wire_type) = decode_key(&mut encoded)?;
        if tag == RESPONSES {
            return Err(CodecError::Responses);
        }
        if tag == ENTRIES && wire_type == WireType::LengthDelimited {
            entries += 1;
            if entries > ENTRIES_MAX {
                return Err(CodecError::TooManyEntries);
            }
        }
        skip_field(wire_type, tag, &mut encoded, DecodeContext::default())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_grow_in_memory_are_rejected() {
        let few = [0x3a, 0].repeat(3);
        assert_eq!(check(&few), Ok(()));
        let many = [0x3a, 0].repeat(ENTRIES_MAX + 1);
        assert_eq!(check(&many), Err(CodecError::TooManyEntries));
        let nested = Message { responses: vec![Message::default()], ..Message::default() };
        assert_eq!(check(&nested.encode_to_vec()), Err(CodecError::Responses));
        assert!(matches!(check(&[0x3a, 5, 0]), Err(CodecError::Malformed(_))));
    }
}
