//! The caller's deadline, which gRPC sends as the header `grpc-timeout`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferretcd_api_proto::errors::Untyped;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use crate::status::{status, trailers};

const HEADER: &str = "grpc-timeout";
/// Digits that the protocol allows.
const DIGITS_MAX: usize = 8;

/// How long the caller waits; `None` without the header, or if it is malformed.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// When the caller of a request stops waiting: an extension of each request whose head says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(pub(crate) Instant);

/// The status of a call whose deadline has passed.
pub(crate) fn exceeded() -> Status {
    status(Untyped::ContextDeadlineExceeded)
}

/// A stream of responses that ends at the caller's deadline.
#[derive(Debug)]
pub(crate) struct DeadlineBody {
    /// `None` once the stream has ended.
    body: Option<tonic::body::Body>,
    deadline: Pin<Box<Sleep>>,
}

impl DeadlineBody {
    pub(crate) fn new(body: tonic::body::Body, deadline: Instant) -> Self {
        Self { body: Some(body), deadline: Box::pin(sleep_until(deadline)) }
    }
}

impl Body for DeadlineBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        // First: a stream that always has something must end too.
        if this.deadline.as_mut().poll(cx).is_ready() {
            this.body = None;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers(&exceeded())))));
        }
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &'static str, expected: Option<Duration>) {
        let headers =
            HeaderMap::from_iter([(HEADER.parse().expect("a name"), text.parse().expect("a value"))]);
        assert_eq!(timeout(&headers), expected, "{text}");
    }

    #[test]
    fn timeouts_are_parsed() {
        check("4999940u", Some(Duration::from_micros(4_999_940)));
        check("2H", Some(Duration::from_secs(7200)));
        check("3M", Some(Duration::from_secs(180)));
        check("5S", Some(Duration::from_secs(5)));
        check("100m", Some(Duration::from_millis(100)));
        check("99999999n", Some(Duration::from_nanos(99_999_999)));
        for text in ["", "S", "5", "5s", "-5S", "+5S", "123456789S", "5.0S"] {
            check(text, None);
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
