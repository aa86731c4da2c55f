//! Errors as statuses, and statuses as HTTP responses.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tonic::{Code, Status};

use crate::fault::Fault;
use crate::response::JsonBody;
use crate::{BoxError, encode};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// 499, which nginx has made known: the client has gone.
const CLIENT_CLOSED_REQUEST: u16 = 499;

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        let code = match fault {
            Fault::Path => Code::NotFound,
            Fault::Method => Code::Unimplemented,
            Fault::Syntax(_) | Fault::Message(_) | Fault::Header(_) => Code::InvalidArgument,
            Fault::Headers | Fault::TooLarge { .. } => Code::ResourceExhausted,
            Fault::BrokenOff => Code::Unavailable,
            Fault::Cut => Code::Internal,
        };
        Self::new(code, fault.to_string())
    }
}

/// The error of a stream of requests, in which the service finds its status.
pub(crate) fn of_request(fault: Fault) -> BoxError {
    Status::from(fault).into()
}

/// The status of a body that has failed.
pub(crate) fn of_body(error: BoxError) -> Status {
    Status::from_error(error)
}

/// The status that a call ends with; without one it has ended well, as of a service that knows no trailers.
pub(crate) fn of_trailers(trailers: &HeaderMap, is_whole: bool) -> Status {
    match Status::from_header_map(trailers) {
        Some(status) => status,
        None if is_whole => Status::ok(""),
        None => Fault::Cut.into(),
    }
}

/// The status of HTTP for a code.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::from_u16(CLIENT_CLOSED_REQUEST).expect("it is below 1000"),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The response of a unary call that has failed.
pub(crate) fn response<R>(status: &Status) -> Response<JsonBody<R>> {
    let mut body = Vec::new();
    object(status, &mut body);
    let mut response = with_status(status, body.into());
    if status.code() == Code::Unauthenticated
        && let Ok(text) = HeaderValue::from_str(status.message())
    {
        response.headers_mut().insert(WWW_AUTHENTICATE, text);
    }
    response
}

/// The response of a call that has failed before the first of its messages.
pub(crate) fn stream_response<R>(status: &Status) -> Response<JsonBody<R>> {
    let mut body = Vec::new();
    line(status, &mut body);
    with_status(status, body.into())
}

fn with_status<R>(status: &Status, body: Bytes) -> Response<JsonBody<R>> {
    let mut response = Response::new(JsonBody::whole(body));
    *response.status_mut() = http_status(status.code());
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// The last line of a stream that has failed.
pub(crate) fn line(status: &Status, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"error\":");
    object(status, out);
    out.extend_from_slice(b"}\n");
}

fn object(status: &Status, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{{\"code\":{}", status.code() as i32).as_bytes());
    if !status.message().is_empty() {
        out.extend_from_slice(b",\"message\":");
        encode::string(status.message(), out);
    }
    out.push(b'}');
}
