//! The stream of all messages but appends: each with its length in front.

use bytes::Bytes;
use ferretcd_api_proto::raftpb::{Message, MessageType};

use super::{CodecError, Frame, Inbound, Writer, bounded, decode};

/// Writes the frame of a message.
pub(crate) fn encode(message: Message, writer: &mut Writer) {
    writer.message(message);
}

/// Writes a sign of life: a message from nobody to nobody.
pub(crate) fn encode_heartbeat(writer: &mut Writer) {
    let kind = Some(MessageType::MsgHeartbeat.into());
    writer.message(Message { r#type: kind, ..Message::default() });
}

/// Bytes of a [`encode_heartbeat`] without its length.
pub(crate) const HEARTBEAT_BYTES: usize = 2;

/// Reads the stream.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    inbound: Inbound,
    /// The length of the frame that has begun.
    length: Option<usize>,
}

impl Decoder {
    /// Adds what was received, after everything before has been read.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.inbound.push(chunk);
    }

    /// The next frame, or `None` until more is received. After an error the stream is of no use.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, CodecError> {
        let length = match self.length {
            Some(length) => length,
            None => {
                let Some(length) = self.inbound.take_u64() else { return Ok(None) };
                *self.length.insert(bounded(length)?)
            }
        };
        let Some(encoded) = self.inbound.take(length) else { return Ok(None) };
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
    fn frames_are_those_of_etcd() {
        let mut writer = Writer::default();
        encode(message(), &mut writer);
        encode_heartbeat(&mut writer);
        let mut pieces = writer.finish();
        let bytes = pieces.copy_to_bytes(pieces.remaining());
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
    fn lengths_beyond_the_bound_are_refused_at_once() {
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
    fn what_has_not_arrived_takes_no_memory() {
        let mut decoder = Decoder::default();
        decoder.push((512_u64 << 20).to_be_bytes().to_vec().into());
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(Bytes::from_static(&[8]));
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.inbound.into_rest().len() == 1);
    }

    /// Reads frames with the given content, pushed in pieces of `size` bytes.
    fn read_all(bytes: &[u8], size: usize) -> Result<Vec<Frame>, CodecError> {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        for piece in bytes.chunks(size) {
            decoder.push(Bytes::copy_from_slice(piece));
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
            let mut pieces = writer.finish();
            let mut bytes = pieces.copy_to_bytes(pieces.remaining()).to_vec();
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = read_all(&bytes, size);
        }
    }
}
