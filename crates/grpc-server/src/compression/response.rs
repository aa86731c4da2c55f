//! Messages for a client, compressed.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, Response};
use http_body::{Body, Frame};
use tonic::Status;

use super::HEADER;
use crate::responses::PREFIX_BYTES;

/// The shortest message that is compressed, in bytes. An encoder costs some 300 KiB of memory that is zeroed, which shorter
/// ones are not worth.
const COMPRESSED_BYTES_MIN: usize = 1 << 10;
/// The longest message that is compressed, in bytes. The length of a compressed message is known at its end, so all of it
/// is in memory; longer ones pass as they are, piece by piece.
const COMPRESSED_BYTES_MAX: usize = 4 << 20;

/// Compresses the messages of a response. One that has no messages stays as it is.
pub(crate) fn compress(mut response: Response<tonic::body::Body>) -> Response<tonic::body::Body> {
    if response.headers().contains_key(Status::GRPC_STATUS) {
        return response;
    }
    response.headers_mut().insert(HEADER, HeaderValue::from_static("gzip"));
    response.map(|body| tonic::body::Body::new(Compressed { body, messages: Messages::default() }))
}

/// A body with compressed messages, out of one with messages as they are.
struct Compressed<B> {
    body: B,
    messages: Messages,
}

/// Compresses messages that come in pieces.
#[derive(Default)]
struct Messages {
    /// The beginning of a prefix.
    prefix: BytesMut,
    current: Option<Message>,
}

/// A message that is not complete.
struct Message {
    /// Bytes that are to come.
    left: usize,
    /// `None` if it stays as it is.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Messages {
    /// Takes the next piece, and returns what can be sent.
    fn pass(&mut self, mut piece: Bytes) -> BytesMut {
        let mut out = BytesMut::new();
        while !piece.is_empty() {
            let Some(message) = &mut self.current else {
                let n = piece.len().min(PREFIX_BYTES - self.prefix.len());
                self.prefix.extend_from_slice(&piece.split_to(n));
                if self.prefix.len() == PREFIX_BYTES {
                    self.current = begin(&self.prefix, &mut out);
                    self.prefix.clear();
                }
                continue;
            };
            let bytes = piece.split_to(piece.len().min(message.left));
            message.left -= bytes.len();
            match &mut message.encoder {
                Some(encoder) => encoder.write_all(&bytes).expect("memory takes it"),
                None => out.extend_from_slice(&bytes),
            }
            if message.left == 0
                && let Some(Message { encoder: Some(encoder), .. }) = self.current.take()
            {
                finish(encoder, &mut out);
            }
        }
        out
    }
}

/// Begins the message behind a prefix. One that stays as it is has its prefix in `out`; an empty one is complete with it.
fn begin(prefix: &[u8], out: &mut BytesMut) -> Option<Message> {
    let left = (&prefix[1..]).get_u32() as usize;
    if !(COMPRESSED_BYTES_MIN..=COMPRESSED_BYTES_MAX).contains(&left) {
        out.extend_from_slice(prefix);
        return (left > 0).then_some(Message { left, encoder: None });
    }
    // Room for the prefix, which says how long the rest is.
    let encoder = GzEncoder::new(vec![0; PREFIX_BYTES], Compression::default());
    Some(Message { left, encoder: Some(encoder) })
}

fn finish(encoder: GzEncoder<Vec<u8>>, out: &mut BytesMut) {
    let mut message = encoder.finish().expect("memory takes it");
    let bytes = (message.len() - PREFIX_BYTES) as u32;
    message[0] = 1;
    message[1..PREFIX_BYTES].copy_from_slice(&bytes.to_be_bytes());
    out.extend_from_slice(&message);
}

impl<B> Body for Compressed<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return Poll::Ready(Some(Ok(frame))),
        };
        let out = this.messages.pass(data);
        if out.is_empty() {
            // A piece is enough work for a turn.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(out.freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The messages in some bytes, and whether each was compressed.
    fn read(mut bytes: &[u8]) -> Vec<(Vec<u8>, bool)> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let (is_compressed, n) = (bytes.get_u8() == 1, bytes.get_u32() as usize);
            let (message, rest) = bytes.split_at(n);
            let mut content = Vec::new();
            match is_compressed {
                true => drop(GzDecoder::new(message).read_to_end(&mut content).expect("it is gzip")),
                false => content.extend_from_slice(message),
            }
            messages.push((content, is_compressed));
            bytes = rest;
        }
        messages
    }

    /// What becomes of messages that come in pieces of `n` bytes.
    fn pass(sent: &[Vec<u8>], n: usize) -> Vec<u8> {
        let framed = |message: &Vec<u8>| [&[0], &(message.len() as u32).to_be_bytes()[..], message].concat();
        let bytes: Vec<u8> = sent.iter().flat_map(framed).collect();
        let mut messages = Messages::default();
        bytes.chunks(n).flat_map(|piece| messages.pass(Bytes::copy_from_slice(piece))).collect()
    }

    proptest! {
        #[test]
        fn messages_are_the_same_in_another_form(
            sent in vec((any::<u8>(), prop_oneof![0_usize..9, 1000_usize..1050]), 0..5),
            n in 1_usize..1500,
        ) {
            let sent: Vec<_> = sent.into_iter().map(|(byte, n)| vec![byte; n]).collect();
            let is_long = |message: &Vec<u8>| message.len() >= COMPRESSED_BYTES_MIN;
            let expected: Vec<_> = sent.iter().map(|message| (message.clone(), is_long(message))).collect();
            prop_assert_eq!(read(&pass(&sent, n)), expected);
        }
    }

    #[test]
    fn short_and_long_messages_stay_as_they_are() {
        let sent = [
            vec![1; COMPRESSED_BYTES_MAX],
            vec![2; COMPRESSED_BYTES_MAX + 1],
            vec![3; COMPRESSED_BYTES_MIN - 1],
            vec![4; COMPRESSED_BYTES_MIN],
        ];
        let flags = [true, false, false, true];
        let passed = pass(&sent, 64 << 10);
        assert!(read(&passed) == sent.into_iter().zip(flags).collect::<Vec<_>>());
    }
}
