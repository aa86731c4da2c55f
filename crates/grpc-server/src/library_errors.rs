//! Errors that the gRPC library makes itself, in the words of etcd's library. Clients and tests compare them.

use std::fmt::Display;

use ferretcd_api_proto::errors::Code;
use http::{Method, Response, StatusCode, Uri};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::StdError;

/// How the library's texts begin.
const TOO_LARGE: &str = "Error, decoded message length too large: found ";
const COMPRESSED: &str =
    "protocol error: received message with compressed-flag but no grpc-encoding was specified";
const FLAG: &str = "protocol error: received message with invalid compression flag: ";
const MALFORMED: &str = "failed to decode Protobuf message";

/// The response to a call of a method or service that does not exist.
pub(crate) fn unimplemented(uri: &Uri, has_service: impl Fn(&str) -> bool) -> Response<Body> {
    let path = uri.path().trim_start_matches('/');
    let text = match path.rsplit_once('/') {
        Some((service, method)) if has_service(service) => {
            format!("unknown method {method} for service {service}")
        }
        Some((service, _)) => format!("unknown service {service}"),
        None => format!("malformed method name: {:?}", uri.path()),
    };
    Status::new(Code::Unimplemented.into(), text).into_http()
}

/// The response to a call with another method than POST.
pub(crate) fn not_post(method: &Method) -> Response<Body> {
    let text = format!("Received a HEADERS frame with :method {:?} which should be POST", method.as_str());
    let mut response = Status::new(Code::Internal.into(), text).into_http();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

/// Rewords a response that is only a status of the library's own; passes on everything else untouched.
pub(crate) fn reword(response: Response<Body>, message_bytes_max: usize) -> Response<Body> {
    // A response that carries messages has its status in the trailers, out of sight here.
    if !response.headers().contains_key(Status::GRPC_STATUS) {
        return response;
    }
    match Status::from_header_map(response.headers()).and_then(|status| reworded(&status, message_bytes_max))
    {
        Some(status) => status.into_http(),
        None => response,
    }
}

/// The response to a call whose deadline cannot be read.
pub(crate) fn malformed_timeout(malformed: impl Display) -> Response<Body> {
    let mut response =
        Status::new(Code::Internal.into(), format!("malformed grpc-timeout: {malformed}")).into_http();
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// The error for messages that are compressed in a way that is not known here.
pub(crate) fn no_decompressor(encoding: &[u8]) -> Status {
    let encoding = String::from_utf8_lossy(encoding);
    let text = format!("grpc: Decompressor is not installed for grpc-encoding {encoding:?}");
    Status::new(Code::Unimplemented.into(), text)
}

/// The error for a message that is no gzip; `has_header` if it begins as if it were.
pub(crate) fn broken_compression(has_header: bool, reason: &str) -> Status {
    let text = match has_header {
        true => format!("grpc: failed to read decompressed data: {reason}"),
        false => format!("grpc: failed to decompress the message: {reason}"),
    };
    Status::new(Code::Internal.into(), text)
}

/// The error for a message that would be too large once it is decompressed.
pub(crate) fn too_large_decompressed(max: usize) -> Status {
    let text = format!("grpc: received message after decompression larger than max {max}");
    Status::new(Code::ResourceExhausted.into(), text)
}

/// The error for a message whose first byte means nothing.
pub(crate) fn unexpected_format(flag: u8) -> Status {
    Status::new(Code::Internal.into(), format!("grpc: received unexpected payload format {flag}"))
}

/// The error for a message that is too large to be sent.
pub(crate) fn too_large_to_send(bytes: usize, max: usize) -> Status {
    let text = format!("grpc: trying to send message larger than max ({bytes} vs. {max})");
    Status::new(Code::ResourceExhausted.into(), text)
}

/// The error for a message that is too large to be received.
pub(crate) fn too_large_to_receive(bytes: impl Display, max: usize) -> Status {
    let text = format!("grpc: received message larger than max ({bytes} vs. {max})");
    Status::new(Code::ResourceExhausted.into(), text)
}

/// The error for a message that does not decode.
pub(crate) fn malformed(reason: impl Display) -> Status {
    let reason = without_path(&reason.to_string());
    Status::new(Code::Internal.into(), format!("grpc: error unmarshalling request: {reason}"))
}

/// The library's text with the first and the last field of the path alone. It has one for each level of the message,
/// hundreds in a transaction that is nested on purpose.
fn without_path(text: &str) -> String {
    let parts: Vec<&str> = text.split(": ").collect();
    let is_field = |part: &&str| part.contains('.') && !part.contains(' ');
    let n_fields = parts.iter().skip(1).take_while(|part| is_field(part)).count();
    match n_fields {
        0..=2 => text.to_owned(),
        n => [&parts[..2], &["..."], &parts[n..]].concat().join(": "),
    }
}

/// The error for a stream of requests that ends in the middle of a message, in the library's own words.
pub(crate) fn cut_message() -> Status {
    Status::new(Code::Internal.into(), "Unexpected EOF decoding stream.")
}

/// The error for a body that fails, in the library's own words.
pub(crate) fn broken_body(error: StdError) -> Status {
    Status::from_error(error)
}

/// The error for a message that is marked as compressed, in a call that does not say how, or whose mark means nothing.
pub(crate) fn compressed_message(flag: u8) -> Status {
    match flag {
        1 => Status::new(Code::Internal.into(), "grpc: compressed flag set with identity or empty encoding"),
        flag => unexpected_format(flag),
    }
}

/// An error of the library in etcd's words; `None` for any other.
pub(crate) fn reworded(status: &Status, message_bytes_max: usize) -> Option<Status> {
    let text = status.message();
    if let Some(found) = text.strip_prefix(TOO_LARGE) {
        let size = found.split(' ').next().unwrap_or_default();
        return Some(too_large_to_receive(size, message_bytes_max));
    }
    if let Some(flag) = text.strip_prefix(FLAG) {
        let flag = flag.split(' ').next().unwrap_or_default();
        return flag.parse().ok().map(unexpected_format);
    }
    if text.starts_with(COMPRESSED) {
        return Some(compressed_message(1));
    }
    text.starts_with(MALFORMED).then(|| malformed(text))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn check(status: Status, code: Code, text: &str) {
        let response = reword(status.into_http(), 2_097_152);
        let status = Status::from_header_map(response.headers()).expect("only a status");
        assert_eq!((status.code(), status.message()), (code, text));
    }

    #[test]
    fn errors_of_the_library_are_reworded() {
        check(
            Status::out_of_range(
                "Error, decoded message length too large: found 2097153 bytes, the limit is: 2097152 bytes",
            ),
            Code::ResourceExhausted,
            "grpc: received message larger than max (2097153 vs. 2097152)",
        );
        check(
            Status::internal("failed to decode Protobuf message: invalid tag value: 0"),
            Code::Internal,
            "grpc: error unmarshalling request: failed to decode Protobuf message: invalid tag value: 0",
        );
        let nested = "RequestOp.request: TxnRequest.success: ".repeat(50);
        check(
            Status::internal(format!(
                "failed to decode Protobuf message: TxnRequest.success: {nested}RequestOp.request: invalid tag value: 0"
            )),
            Code::Internal,
            "grpc: error unmarshalling request: failed to decode Protobuf message: TxnRequest.success: ...: \
             RequestOp.request: invalid tag value: 0",
        );
        check(
            Status::internal(
                "failed to decode Protobuf message: A.b: C.d: invalid wire type: Varint (expected X)",
            ),
            Code::Internal,
            "grpc: error unmarshalling request: failed to decode Protobuf message: A.b: C.d: invalid wire type: Varint \
             (expected X)",
        );
        check(
            Status::internal(
                "protocol error: received message with invalid compression flag: 7 (valid flags are 0 and 1), while sending \
                 request",
            ),
            Code::Internal,
            "grpc: received unexpected payload format 7",
        );
        check(Status::unavailable("etcdserver: no leader"), Code::Unavailable, "etcdserver: no leader");
    }

    #[test]
    fn unknown_methods_and_services_are_named() {
        let text = |uri: &'static str, known| {
            let response = unimplemented(&Uri::from_static(uri), |_| known);
            Status::from_header_map(response.headers()).expect("only a status").message().to_owned()
        };
        assert_eq!(text("/etcdserverpb.KV/Get", true), "unknown method Get for service etcdserverpb.KV");
        assert_eq!(text("/some.Service/Get", false), "unknown service some.Service");
    }
}
