//! The body of a response, which ends a call with its own end.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::connection::OpenCall;

pin_project! {
    /// A body; the HTTP library drops it when it has been sent, or when the client has given the call up.
    #[derive(Debug)]
    pub(crate) struct OpenBody<B> {
        #[pin]
        body: B,
        call: OpenCall,
    }
}

impl<B> OpenBody<B> {
    pub(crate) fn new(body: B, call: OpenCall) -> Self {
        Self { body, call }
    }
}

impl<B: Body> Body for OpenBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
