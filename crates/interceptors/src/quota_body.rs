use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// A request body that may have been read ahead: what was read first, then the rest.
pub struct QuotaBody<B: Body> {
    /// Grows while the body is read ahead. Frames are copied together: a client may send its bytes one by
    /// one, and a list of frames would then be many times as large as the bytes.
    reading: BytesMut,
    /// What has been read ahead, given out first.
    head: Bytes,
    tail: Tail<B>,
}

/// How a body goes on after the bytes that were read ahead.
enum Tail<B: Body> {
    /// As the body itself does.
    Rest(B),
    Trailers(HeaderMap),
    Failed(B::Error),
    End,
}

impl<B: Body<Data = Bytes> + Unpin> QuotaBody<B> {
    pub(crate) fn untouched(body: B) -> QuotaBody<B> {
        QuotaBody { reading: BytesMut::new(), head: Bytes::new(), tail: Tail::Rest(body) }
    }

    /// Reads ahead until the body is over or more than `bytes_max` bytes have come.
    pub(crate) fn poll_read_ahead(&mut self, context: &mut Context<'_>, bytes_max: usize) -> Poll<()> {
        while self.reading.len() <= bytes_max {
            let Tail::Rest(body) = &mut self.tail else { break };
            match ready!(Pin::new(body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.reading.extend_from_slice(&data),
                    // A frame that is neither data nor trailers does not exist.
                    Err(frame) => self.tail = frame.into_trailers().map_or(Tail::End, Tail::Trailers),
                },
                Some(Err(error)) => self.tail = Tail::Failed(error),
                None => self.tail = Tail::End,
            }
        }
        self.head = std::mem::take(&mut self.reading).freeze();
        Poll::Ready(())
    }

    /// All bytes of the body, if it has been read ahead to a good end.
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        match self.tail {
            Tail::Trailers(_) | Tail::End => Some(&self.head),
            Tail::Rest(_) | Tail::Failed(_) => None,
        }
    }
}

impl<B: Body> fmt::Debug for QuotaBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Requests hold secrets, so the bytes themselves stay out.
        f.debug_struct("QuotaBody").field("head_bytes", &self.head.len()).finish_non_exhaustive()
    }
}

// Nothing in it is ever pinned: the inner body is Unpin wherever it is polled.
impl<B: Body> Unpin for QuotaBody<B> {}

impl<B: Body<Data = Bytes> + Unpin> Body for QuotaBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if !this.head.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.head)))));
        }
        if let Tail::Rest(body) = &mut this.tail {
            return Pin::new(body).poll_frame(context);
        }
        Poll::Ready(match std::mem::replace(&mut this.tail, Tail::End) {
            Tail::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Tail::Failed(error) => Some(Err(error)),
            Tail::Rest(_) | Tail::End => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.head.is_empty()
            && match &self.tail {
                Tail::Rest(body) => body.is_end_stream(),
                Tail::Trailers(_) | Tail::Failed(_) => false,
                Tail::End => true,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let head = self.head.len() as u64;
        let Tail::Rest(body) = &self.tail else { return SizeHint::with_exact(head) };
        let rest = body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(head + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(head + upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    type Frames = Vec<Result<Frame<Bytes>, &'static str>>;

    fn data(bytes: &'static [u8]) -> Result<Frame<Bytes>, &'static str> {
        Ok(Frame::data(Bytes::from_static(bytes)))
    }

    /// Reads ahead, then reads everything; compares what was whole and what came out.
    async fn check(frames: Frames, bytes_max: usize, whole: Option<&[u8]>, out: &[&str]) {
        let mut body = QuotaBody::untouched(StreamBody::new(tokio_stream::iter(frames)));
        poll_fn(|context| body.poll_read_ahead(context, bytes_max)).await;
        assert_eq!(body.whole().map(|bytes| &bytes[..]), whole);
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            seen.push(match frame.map(Frame::into_data) {
                Ok(Ok(data)) => String::from_utf8(data.to_vec()).unwrap(),
                Ok(Err(_)) => "(trailers)".into(),
                Err(error) => format!("({error})"),
            });
        }
        assert_eq!(seen, out);
        assert!(body.is_end_stream() || whole.is_none());
    }

    #[tokio::test]
    async fn what_was_read_ahead_comes_out_again() {
        let trailers = || Ok(Frame::trailers(HeaderMap::new()));
        check(vec![], 9, Some(b""), &[]).await;
        check(vec![data(b"abc")], 9, Some(b"abc"), &["abc"]).await;
        check(vec![data(b"ab"), data(b"c"), trailers()], 9, Some(b"abc"), &["abc", "(trailers)"]).await;
        check(vec![data(b"abc"), data(b"d"), data(b"e")], 3, None, &["abcd", "e"]).await;
        check(vec![data(b"abc"), Err("reset")], 9, None, &["abc", "(reset)"]).await;
    }
}
