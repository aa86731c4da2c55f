use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::framing::Framing;

/// Sees what goes by in a [`CountedBody`]. It is dropped without [`end`](Observe::end) if the other side gave the
/// body up.
pub trait Observe {
    /// Bytes went by, in pieces of any size.
    fn data(&mut self, _data: &[u8]) {}

    /// The other side reads, or reads on.
    fn reading(&mut self) {}

    /// A whole message went by; `len` is its size without the prefix of five bytes.
    fn message(&mut self, len: u64);

    /// The body is over. `trailers` is `None` when it ended without, or with an error.
    fn end(self, trailers: Option<&HeaderMap>);
}

pin_project! {
    /// A gRPC body that shows its messages to an observer while they pass, unchanged.
    #[derive(Debug)]
    pub struct CountedBody<B, O> {
        #[pin]
        inner: B,
        framing: Framing,
        // `None` without an observer, or after the end.
        observer: Option<O>,
    }
}

impl<B: Body<Data = Bytes>, O: Observe> CountedBody<B, O> {
    /// Wraps `inner`; without an observer the body costs one comparison for each frame.
    pub(crate) fn new(inner: B, observer: Option<O>) -> CountedBody<B, O> {
        let mut body = CountedBody { inner, framing: Framing::default(), observer };
        if body.observer.is_some() && body.inner.is_end_stream() {
            // Such a body is not polled.
            end(&mut body.observer, None);
        }
        body
    }
}

/// An empty body, for responses that a layer makes itself.
impl<B: Default, O> Default for CountedBody<B, O> {
    fn default() -> CountedBody<B, O> {
        CountedBody { inner: B::default(), framing: Framing::default(), observer: None }
    }
}

impl<B: Body<Data = Bytes>, O: Observe> Body for CountedBody<B, O> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(observer) = this.observer else { return this.inner.poll_frame(context) };
        observer.reading();
        let next = ready!(this.inner.as_mut().poll_frame(context));
        match next.as_ref().and_then(|frame| frame.as_ref().ok()) {
            Some(frame) => {
                if let Some(data) = frame.data_ref() {
                    observer.data(data);
                    this.framing.feed(data, |len| observer.message(len));
                }
                // The server may call `is_end_stream` instead of polling once more.
                if frame.is_trailers() || this.inner.is_end_stream() {
                    end(this.observer, frame.trailers_ref());
                }
            }
            None => end(this.observer, None),
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn end<O: Observe>(observer: &mut Option<O>, trailers: Option<&HeaderMap>) {
    if let Some(observer) = observer.take() {
        observer.end(trailers);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::convert::Infallible;
    use std::rc::Rc;

    use http_body_util::{BodyExt, Empty, Full, StreamBody};

    use super::*;

    type Notes = Rc<RefCell<Vec<String>>>;

    struct Notebook(Notes);

    impl Observe for Notebook {
        fn message(&mut self, len: u64) {
            self.0.borrow_mut().push(format!("message {len}"));
        }

        fn end(self, trailers: Option<&HeaderMap>) {
            self.0.borrow_mut().push(format!("end, trailers {}", trailers.is_some()));
        }
    }

    impl Drop for Notebook {
        fn drop(&mut self) {
            self.0.borrow_mut().push("drop".into());
        }
    }

    fn watched<B: Body<Data = Bytes>>(body: B) -> (CountedBody<B, Notebook>, Notes) {
        let notes = Notes::default();
        (CountedBody::new(body, Some(Notebook(notes.clone()))), notes)
    }

    fn streamed(frames: Vec<Frame<Bytes>>) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        StreamBody::new(tokio_stream::iter(frames.into_iter().map(Ok)))
    }

    #[tokio::test]
    async fn messages_then_trailers() {
        let frames = vec![
            Frame::data(Bytes::from_static(b"\0\0\0\0\x02h")),
            Frame::data(Bytes::from_static(b"i\0\0\0\0\0")),
            Frame::trailers(HeaderMap::new()),
        ];
        let (body, notes) = watched(streamed(frames));
        assert_eq!(body.collect().await.unwrap().to_bytes(), &b"\0\0\0\0\x02hi\0\0\0\0\0"[..]);
        assert_eq!(*notes.borrow(), ["message 2", "message 0", "end, trailers true", "drop"]);
    }

    #[tokio::test]
    async fn body_of_known_length_ends_with_its_last_frame() {
        let (mut body, notes) = watched(Full::new(Bytes::from_static(b"\0\0\0\0\0")));
        body.frame().await.unwrap().unwrap();
        assert_eq!(*notes.borrow(), ["message 0", "end, trailers false", "drop"]);
    }

    #[test]
    fn empty_body_ends_at_once() {
        let (_body, notes) = watched(Empty::new());
        assert_eq!(*notes.borrow(), ["end, trailers false", "drop"]);
    }

    #[tokio::test]
    async fn dropped_body_has_no_end() {
        let (mut body, notes) = watched(streamed(vec![Frame::data(Bytes::from_static(b"\0\0\0\0\0"))]));
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(*notes.borrow(), ["message 0", "drop"]);
    }
}
