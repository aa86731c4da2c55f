//! Messages of a client, decompressed.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use flate2::bufread::GzDecoder;
use http_body::{Body, Frame};
use tonic::Status;
use tonic::codegen::StdError;

use crate::library_errors;
use crate::responses::PREFIX_BYTES;

/// Memory for a decompressed message before it is known how long it is.
const FIRST_BYTES: usize = 4 << 10;

/// A body with messages as they are, out of one with messages that may be compressed. It has one message in memory, and
/// what it has received behind it; neither form of a message may be longer than `message_bytes_max`.
#[derive(Debug)]
pub(crate) struct Decompressed<B> {
    body: B,
    received: BytesMut,
    message_bytes_max: usize,
    /// Behind an error, and behind the last frame.
    is_over: bool,
}

impl<B> Decompressed<B> {
    pub(crate) fn new(body: B, message_bytes_max: usize) -> Self {
        Self { body, received: BytesMut::new(), message_bytes_max, is_over: false }
    }

    /// The next message, with its prefix, if all of it has been received.
    fn message(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(mut prefix) = self.received.get(..PREFIX_BYTES) else { return Ok(None) };
        let (flag, bytes) = (prefix.get_u8(), prefix.get_u32() as usize);
        if bytes > self.message_bytes_max {
            return Err(library_errors::too_large_to_receive(bytes, self.message_bytes_max));
        }
        if self.received.len() < PREFIX_BYTES + bytes {
            return Ok(None);
        }
        let message = self.received.split_to(PREFIX_BYTES + bytes).freeze();
        match flag {
            0 => Ok(Some(message)),
            1 => decompress(&message[PREFIX_BYTES..], self.message_bytes_max).map(Some),
            flag => Err(library_errors::unexpected_format(flag)),
        }
    }
}

impl<B> Body for Decompressed<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = self.get_mut();
        while !this.is_over {
            match this.message() {
                Ok(Some(message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                Ok(None) => {}
                Err(status) => {
                    this.is_over = true;
                    return Poll::Ready(Some(Err(status.into())));
                }
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.received.extend_from_slice(&data),
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                Some(Err(error)) => {
                    this.is_over = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => {
                    this.is_over = true;
                    // The beginning of a message, which the service finds to be cut off if the flag does not stop it.
                    let mut rest = this.received.split();
                    if let Some(flag) = rest.first_mut() {
                        *flag = 0;
                    }
                    return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest.freeze()))));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || (self.received.is_empty() && self.body.is_end_stream())
    }
}

/// A message with its prefix. At most one byte more than `bytes_max` is ever made of it. It is one member of gzip: many
/// empty ones would be much work with no bytes to bound it by.
fn decompress(compressed: &[u8], bytes_max: usize) -> Result<Bytes, Status> {
    let mut message = BytesMut::with_capacity(PREFIX_BYTES + FIRST_BYTES).writer();
    message.get_mut().put_bytes(0, PREFIX_BYTES);
    let mut decoder = GzDecoder::new(compressed);
    io::copy(&mut decoder.by_ref().take(bytes_max as u64 + 1), &mut message).map_err(|error| {
        let text = if compressed.is_empty() { "EOF" } else { text(&error) };
        library_errors::broken_compression(decoder.header().is_some(), text)
    })?;
    let mut message = message.into_inner();
    let bytes = message.len() - PREFIX_BYTES;
    if bytes > bytes_max {
        return Err(library_errors::too_large_decompressed(bytes_max));
    }
    if !decoder.into_inner().is_empty() {
        return Err(library_errors::broken_compression(true, "gzip: invalid header"));
    }
    (&mut message[1..PREFIX_BYTES]).put_u32(bytes as u32);
    Ok(message.freeze())
}

/// The error as Go has it, without the offset of corrupt input.
fn text(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "unexpected EOF",
        _ if error.to_string().contains("checksum") => "gzip: invalid checksum",
        _ if error.to_string().contains("header") => "gzip: invalid header",
        _ => "flate: corrupt input",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    const MAX: usize = 1000;

    pub(crate) fn gzip(message: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(message).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    }

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        [&[flag], &(message.len() as u32).to_be_bytes()[..], message].concat()
    }

    /// What comes out of a body, or the text of its error.
    async fn out(sent: &[u8]) -> Result<Vec<u8>, String> {
        let body = Decompressed::new(Full::new(Bytes::copy_from_slice(sent)), MAX);
        let collected =
            body.collect().await.map_err(|error| Status::from_error(error).message().to_owned())?;
        Ok(collected.to_bytes().to_vec())
    }

    async fn check(sent: &[u8], expected: Result<&[u8], &str>) {
        assert_eq!(out(sent).await, expected.map(<[u8]>::to_vec).map_err(str::to_owned), "{sent:?}");
    }

    #[tokio::test]
    async fn messages_come_out_as_they_were() {
        let long = vec![7; MAX];
        let sent = [framed(1, &gzip(b"a")), framed(0, b"b"), framed(1, &gzip(&long))];
        let expected = [framed(0, b"a"), framed(0, b"b"), framed(0, &long)].concat();
        check(&sent.concat(), Ok(&expected)).await;
        check(b"", Ok(b"")).await;
        // The service says that a message is cut off, whatever its flag.
        for flag in [0, 1, 2] {
            check(&framed(flag, &gzip(b"a"))[..7], Ok(&framed(0, &gzip(b"a"))[..7])).await;
        }
    }

    #[tokio::test]
    async fn what_is_wrong_has_gos_text() {
        let good = gzip(b"hello");
        let failed = "grpc: failed to decompress the message: ";
        let read = "grpc: failed to read decompressed data: ";
        check(&framed(1, b""), Err(&format!("{failed}EOF"))).await;
        check(&framed(1, b"hello"), Err(&format!("{failed}unexpected EOF"))).await;
        check(&framed(1, b"hello, this is not gzip"), Err(&format!("{failed}gzip: invalid header"))).await;
        check(&framed(1, &good[..good.len() - 3]), Err(&format!("{read}unexpected EOF"))).await;
        let wrong_checksum = [&good[..good.len() - 8], &[0; 8]].concat();
        check(&framed(1, &wrong_checksum), Err(&format!("{read}gzip: invalid checksum"))).await;
        // Behind the header comes a block of a kind that there is not.
        let corrupt = [&good[..10], &[0xff; 20]].concat();
        check(&framed(1, &corrupt), Err(&format!("{read}flate: corrupt input"))).await;
        let two_members = [gzip(b"a"), gzip(b"b")].concat();
        check(&framed(1, &two_members), Err(&format!("{read}gzip: invalid header"))).await;
        check(&framed(2, b"a"), Err("grpc: received unexpected payload format 2")).await;
    }

    #[tokio::test]
    async fn both_forms_of_a_message_are_bounded() {
        // Its length is looked at before its flag.
        for flag in [0, 1, 2] {
            let too_large = "grpc: received message larger than max (1001 vs. 1000)";
            check(&framed(flag, &vec![0; MAX + 1]), Err(too_large)).await;
        }
        let too_large = "grpc: received message after decompression larger than max 1000";
        for bytes in [MAX + 1, 100 * MAX] {
            check(&framed(1, &gzip(&vec![0; bytes])), Err(too_large)).await;
        }
    }
}
