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

/// A header that names no time. The texts are those of grpc-go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MalformedTimeout {
    #[error("transport: timeout string is too short: {0:?}")]
    TooShort(String),
    #[error("transport: timeout string is too long: {0:?}")]
    TooLong(String),
    #[error("transport: timeout unit is not recognized: {0:?}")]
    Unit(String),
    #[error("strconv.ParseUint: parsing {0:?}: invalid syntax")]
    Digits(String),
}

/// How long the caller waits; `None` without the header. Of several the last counts, but all have to be well-formed.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, MalformedTimeout> {
    let mut last = Ok(None);
    for value in headers.get_all(HEADER) {
        match parse(value.as_bytes()) {
            Err(malformed) => last = Err(malformed),
            Ok(timeout) => last = last.map(|_| Some(timeout)),
        }
    }
    last
}

fn parse(text: &[u8]) -> Result<Duration, MalformedTimeout> {
    let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let (digits, unit) = match text {
        [] | [_] => return Err(MalformedTimeout::TooShort(shown(text))),
        [digits @ .., _] if digits.len() > DIGITS_MAX => return Err(MalformedTimeout::TooLong(shown(text))),
        [digits @ .., unit] => (digits, unit),
    };
    let of_amount: fn(u64) -> Duration = match unit {
        b'H' => |amount| Duration::from_secs(amount * 3600),
        b'M' => |amount| Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs,
        b'm' => Duration::from_millis,
        b'u' => Duration::from_micros,
        b'n' => Duration::from_nanos,
        _ => return Err(MalformedTimeout::Unit(shown(text))),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(MalformedTimeout::Digits(shown(digits)));
    }
    Ok(of_amount(digits.iter().fold(0, |amount, digit| amount * 10 + u64::from(digit - b'0'))))
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

    fn check(texts: &[&'static str], expected: Result<Option<Duration>, &str>) {
        let headers =
            texts.iter().map(|text| (HEADER.parse().expect("a name"), text.parse().expect("a value")));
        let found = timeout(&HeaderMap::from_iter(headers)).map_err(|malformed| malformed.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{texts:?}");
    }

    #[test]
    fn timeouts_are_parsed() {
        check(&[], Ok(None));
        check(&["4999940u"], Ok(Some(Duration::from_micros(4_999_940))));
        check(&["2H"], Ok(Some(Duration::from_secs(7200))));
        check(&["3M"], Ok(Some(Duration::from_secs(180))));
        check(&["5S"], Ok(Some(Duration::from_secs(5))));
        check(&["100m"], Ok(Some(Duration::from_millis(100))));
        check(&["99999999n"], Ok(Some(Duration::from_nanos(99_999_999))));
        check(&["99999999H"], Ok(Some(Duration::from_secs(99_999_999 * 3600))));
    }

    #[test]
    fn malformed_timeouts_have_gos_texts() {
        for (text, expected) in [
            ("", r#"transport: timeout string is too short: """#),
            ("S", r#"transport: timeout string is too short: "S""#),
            ("5", r#"transport: timeout string is too short: "5""#),
            ("123456789S", r#"transport: timeout string is too long: "123456789S""#),
            ("5s", r#"transport: timeout unit is not recognized: "5s""#),
            ("-5S", r#"strconv.ParseUint: parsing "-5": invalid syntax"#),
            ("+5S", r#"strconv.ParseUint: parsing "+5": invalid syntax"#),
            ("5.0S", r#"strconv.ParseUint: parsing "5.0": invalid syntax"#),
        ] {
            check(&[text], Err(expected));
        }
    }

    #[test]
    fn of_several_timeouts_the_last_counts() {
        check(&["1S", "2S"], Ok(Some(Duration::from_secs(2))));
        check(&["5", "2S"], Err(r#"transport: timeout string is too short: "5""#));
        check(&["5", "2s"], Err(r#"transport: timeout unit is not recognized: "2s""#));
    }
}
