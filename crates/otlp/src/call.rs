//! A call that is traced, and its response.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use ferretcd_interceptors::{Attribute, Note};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use opentelemetry::trace::{Span as _, SpanBuilder, Status as SpanStatus, TraceContextExt as _, Tracer as _};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use pin_project_lite::pin_project;
use tonic::{Code, Status};

/// The span of a call, which ends when this is dropped.
pub(crate) struct TracedCall {
    span: Span,
    handlers: SdkTracer,
    note: Note,
    /// How the call ended if it is dropped.
    end: Code,
    /// What the status says beside its code.
    reason: String,
}

impl TracedCall {
    pub(crate) fn new(span: Span, handlers: SdkTracer, note: Note) -> Self {
        Self { span, handlers, note, end: Code::Cancelled, reason: String::new() }
    }

    /// The handler is done. A rejection has its status among the headers.
    pub(crate) fn responded(&mut self, headers: &HeaderMap) {
        self.add_handler();
        if let Some(status) = Status::from_header_map(headers) {
            self.ended(&status);
        }
    }

    fn ended(&mut self, status: &Status) {
        self.end = status.code();
        self.reason = status.message().to_owned();
    }

    /// The span of what the handler did, if it was reached and says so.
    fn add_handler(&self) {
        let Some((work, began)) = self.note.work() else { return };
        let now = now();
        let attributes =
            work.attributes.into_iter().map(|(name, value)| KeyValue::new(name, self::value(value)));
        let builder = SpanBuilder::from_name(work.name)
            .with_start_time(now.checked_sub(began.elapsed()).unwrap_or(now))
            .with_attributes(attributes);
        let parent = opentelemetry::Context::new().with_remote_span_context(self.span.span_context().clone());
        self.handlers.build_with_context(builder, &parent).end_with_timestamp(now);
    }
}

impl Drop for TracedCall {
    fn drop(&mut self) {
        // As otelgrpc does: what the client has to do with is no error of the server.
        let is_error = matches!(
            self.end,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        );
        if is_error {
            self.span.set_status(SpanStatus::error(std::mem::take(&mut self.reason)));
        }
        self.span.set_attribute(KeyValue::new("rpc.response.status_code", name(self.end)));
        self.span.end();
    }
}

fn value(attribute: Attribute) -> Value {
    match attribute {
        Attribute::Text(text) => text.into(),
        Attribute::Number(number) => number.into(),
        Attribute::Flag(flag) => flag.into(),
    }
}

#[expect(clippy::disallowed_methods, reason = "spans of several machines are laid side by side")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The name of a code in the conventions of OpenTelemetry.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

pin_project! {
    /// The response of a call, which ends the call's span.
    pub struct TracedBody<B> {
        #[pin]
        inner: B,
        // `None` for a call that is not traced, and behind the end.
        call: Option<TracedCall>,
    }
}

impl<B> fmt::Debug for TracedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedBody").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> TracedBody<B> {
    pub(crate) fn new(inner: B, call: Option<TracedCall>) -> Self {
        // Such a body is not polled.
        let call = call.filter(|_| !inner.is_end_stream());
        Self { inner, call }
    }
}

impl<B: Body<Data = Bytes>> Body for TracedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let next = ready!(this.inner.poll_frame(context));
        let trailers = next.as_ref().and_then(|frame| frame.as_ref().ok()?.trailers_ref());
        if let Some((trailers, mut call)) = trailers.and_then(|trailers| Some((trailers, this.call.take()?)))
        {
            match Status::from_header_map(trailers) {
                Some(status) => call.ended(&status),
                None => call.end = Code::Unknown,
            }
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
