//! Responses in the form of Go's HTTP library, on which clients of etcd rely.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A plain text that browsers must not interpret as anything else.
pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    let nosniff = HeaderValue::from_static("nosniff");
    (status, [(CONTENT_TYPE, PLAIN_TEXT), (X_CONTENT_TYPE_OPTIONS, nosniff)], body.into()).into_response()
}

/// An error: `reason` and a line feed, also if `reason` ends with one.
pub(crate) fn error(status: StatusCode, reason: &str) -> Response {
    text(status, format!("{reason}\n"))
}

/// A plain text without `nosniff`.
pub(crate) fn bare_text(body: String) -> Response {
    ([(CONTENT_TYPE, PLAIN_TEXT)], body).into_response()
}

pub(crate) async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "404 page not found")
}

pub(crate) async fn method_not_allowed() -> Response {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}
