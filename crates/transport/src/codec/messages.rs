//! The stream of all messages but appends: the length of each message, and the message.

use bytes::Bytes;
use ferretcd_api_proto::raftpb::{Message, MessageType};

use super::decode::decode;
use super::frame::{CodecError, Frame, bounded};
use super::read_buffer::ReadBuffer;
use super::writer::Writer;

/// Writes the frame of a message.
pub(crate) fn encode(message: Message, writer: &mut Writer) {
    writer.message(message);
}

/// Writes the heartbeat of the stream: a message without sender and receiver.
pub(crate) fn encode_heartbeat(writer: &mut Writer) {
    let kind = Some(MessageType::MsgHeartbeat.into());
    writer.message(Message { r#type: kind, ..Message::default() });
}

/// Bytes of an [`encode_heartbeat`] without its length.
pub(crate) const HEARTBEAT_BYTES: usize = 2;

/// Reads the stream.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    buffer: ReadBuffer,
    /// The length of the current frame.
    length: Option<usize>,
}

impl Decoder {
    /// Adds a received chunk, after all frames before it have been read.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.buffer.push(chunk);
    }

    /// The next frame, or `None` until more is received. After an error the stream cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, CodecError> {
        let length = match self.length {
            Some(length) => length,
            None => {
                let Some(length) = self.buffer.take_u64() else { return Ok(None) };
                *self.length.insert(bounded(length)?)
            }
        };
        let Some(encoded) = self.buffer.take(length) else { return Ok(None) };
        self.length = None;
        let message = decode(encoded)?;
        Ok(Some(if is_heartbeat(&message) {
            Frame::Heartbeat
        } else {
            Frame::Message(Box::new(message), length)
        }))
    }
}

fn is_heartbeat(message: &Message) -> bool {
    message.r#type() == MessageType::MsgHeartbeat && message.from() == 0 && message.to() == 0
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn message() -> Message {
        Message {
            r#type: Some(MessageType::MsgHeartbeat.into()),
            to: Some(2),
            from: Some(1),
            ..Message::default()
        }
    }

    #[test]
    fn frames_are_the_same_as_etcds() {
        let mut writer = Writer::default();
        encode(message(), &mut writer);
        encode_heartbeat(&mut writer);
        let mut chunks = writer.finish();
        let bytes = chunks.copy_to_bytes(chunks.remaining());
        let expected: &[u8] =
            &[0, 0, 0, 0, 0, 0, 0, 6, 0x08, 8, 0x10, 2, 0x18, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0x08, 8];
        assert_eq!(bytes, expected);

        let mut decoder = Decoder::default();
        decoder.push(bytes);
        assert_eq!(decoder.next(), Ok(Some(Frame::Message(Box::new(message()), 6))));
        assert_eq!(decoder.next(), Ok(Some(Frame::Heartbeat)));
        assert_eq!(decoder.next(), Ok(None));
    }

    #[test]
    fn lengths_beyond_the_bound_are_rejected_at_once() {
        let check = |length: u64, body: &[u8], expected: &str| {
            let mut decoder = Decoder::default();
            decoder.push([&length.to_be_bytes(), body].concat().into());
            let error = decoder.next().map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|text| text.contains(expected)), "{error:?}");
        };
        check(u64::MAX, &[], "18446744073709551615 bytes");
        check((512 << 20) + 1, &[], "536870913 bytes");
        check(1, &[0xff], "varint");
        let nested = Message { responses: vec![Message::default()], ..Message::default() }.encode_to_vec();
        check(nested.len() as u64, &nested, "storage");
    }

    #[test]
    fn memory_is_not_reserved_for_a_claimed_length() {
        let mut decoder = Decoder::default();
        decoder.push((512_u64 << 20).to_be_bytes().to_vec().into());
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(Bytes::from_static(&[8]));
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.buffer.into_rest().len() == 1);
    }

    /// Reads all frames, pushed in chunks of `size` bytes.
    fn read_all(bytes: &[u8], size: usize) -> Result<Vec<Frame>, CodecError> {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        for chunk in bytes.chunks(size) {
            decoder.push(Bytes::copy_from_slice(chunk));
            while let Some(frame) = decoder.next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn random_frames_never_panic(
            contents in proptest::collection::vec(any::<Vec<u8>>(), 0..8),
            size in 1..64_usize,
        ) {
            let frame = |content: &Vec<u8>| [&(content.len() as u64).to_be_bytes(), content.as_slice()].concat();
            let bytes: Vec<u8> = contents.iter().flat_map(frame).collect();
            let _ = read_all(&bytes, size);
        }

        #[test]
        fn damaged_frames_never_panic(at in 0..1000_usize, value: u8, size in 1..64_usize) {
            let mut writer = Writer::default();
            for _ in 0..3 {
                encode(message(), &mut writer);
                encode_heartbeat(&mut writer);
            }
            let mut chunks = writer.finish();
            let mut bytes = chunks.copy_to_bytes(chunks.remaining()).to_vec();
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = read_all(&bytes, size);
        }
    }
}
