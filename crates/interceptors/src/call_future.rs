//! The response of a layer that follows each call from its start to its end.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tonic::{Code, Status};

use crate::body::{CountedBody, Observe};

/// A call that is followed. Dropped before its end, it was given up by the client.
pub(crate) trait Follow: Observe + Sized {
    /// Ends the call.
    fn ended(self, code: Code);

    /// The head of the response has come, and the status has not. `None` if nothing more is to be followed.
    fn begun(self) -> Option<Self> {
        Some(self)
    }
}

pin_project! {
    /// The response of a layer, whose body shows the rest of the call.
    pub struct CallFuture<F, C> {
        #[pin]
        inner: F,
        call: Option<C>,
    }
}

impl<F, C> CallFuture<F, C> {
    /// Of a call that is not followed if there is no `call`.
    pub(crate) fn new(inner: F, call: Option<C>) -> Self {
        Self { inner, call }
    }
}

impl<F, C> fmt::Debug for CallFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFuture").finish_non_exhaustive()
    }
}

impl<F, C, ResBody, E> Future for CallFuture<F, C>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    C: Follow,
    ResBody: Body<Data = Bytes>,
{
    type Output = Result<Response<CountedBody<ResBody, C>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(context));
        let call = this.call.take();
        Poll::Ready(match result {
            Ok(response) => {
                let call = call.and_then(|call| match code(response.headers()) {
                    // A rejection has its status among the headers and no body to wait for.
                    Some(code) => {
                        call.ended(code);
                        None
                    }
                    None => call.begun(),
                });
                Ok(response.map(|body| CountedBody::new(body, call)))
            }
            Err(error) => {
                if let Some(call) = call {
                    call.ended(Code::Unknown);
                }
                Err(error)
            }
        })
    }
}

/// The code of a response that is over: that of its trailers, or unknown.
pub(crate) fn code_at_end(trailers: Option<&HeaderMap>) -> Code {
    trailers.and_then(code).unwrap_or(Code::Unknown)
}

/// The code among headers or trailers.
fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|status| Code::from_bytes(status.as_bytes()))
}
