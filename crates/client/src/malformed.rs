//! Malformed responses, which the gRPC library reports as if the server had rejected the request.

use http::StatusCode;
use tonic::{Code, Status};

use crate::connection::NotGrpc;

/// Statuses of the library: how their texts begin, and what was received.
const REASONS: &[(Code, &str, &str)] = &[
    (Code::Internal, "Missing response message.", "the answer has no message"),
    (Code::Internal, "Unexpected EOF decoding stream.", NOT_PLAIN),
    (Code::Internal, "protocol error: received message with ", NOT_PLAIN),
    (Code::OutOfRange, "Error, decoded message length too large: ", "length limit exceeded"),
];

const NOT_PLAIN: &str = "the answer is not one plain message";

/// What was received instead of a response; `None` if the status is the server's.
pub(crate) fn reason(status: &Status) -> Option<String> {
    let (code, text) = (status.code(), status.message());
    if code == Code::Internal && text.starts_with("failed to decode Protobuf message") {
        return Some(text.to_owned());
    }
    if let Some(status) = http_status(code, text) {
        return Some(NotGrpc(status).to_string());
    }
    let is_it = |(of, begin, _): &&(Code, &str, &str)| *of == code && text.starts_with(begin);
    REASONS.iter().find(is_it).map(|(.., reason)| (*reason).to_owned())
}

/// The HTTP status of a response that ended without a status of gRPC.
fn http_status(code: Code, text: &str) -> Option<StatusCode> {
    if code == Code::Unknown && text.starts_with("protocol error: missing grpc-status trailer") {
        return Some(StatusCode::OK);
    }
    text.strip_prefix("grpc-status header missing, mapped from HTTP status code ")?.parse().ok()
}
