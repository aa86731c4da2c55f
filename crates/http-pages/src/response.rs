//! Responses in the form of Go's HTTP library, on which clients of etcd rely.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, StatusCode};

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A plain text that browsers must not interpret as anything else.
pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    let nosniff = HeaderValue::from_static("nosniff");
    (status, [(CONTENT_TYPE, PLAIN_TEXT), (X_CONTENT_TYPE_OPTIONS, nosniff)], body.into()).into_response()
}

/// An error, as Go's HTTP library shows it: `reason` and a line feed, also if `reason` ends with one.
pub fn error(status: StatusCode, reason: &str) -> Response {
    text(status, format!("{reason}\n"))
}

/// A plain text without `nosniff`.
pub(crate) fn bare_text(body: String) -> Response {
    ([(CONTENT_TYPE, PLAIN_TEXT)], body).into_response()
}

/// A request that reaches no page. The connection ends, as its next bytes may be anything.
pub(crate) fn bad_request(reason: &'static str) -> Response {
    let close = HeaderValue::from_static("close");
    (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, PLAIN_TEXT), (CONNECTION, close)], reason).into_response()
}

/// The way to another path, as Go's HTTP library shows it. Browsers show the body of the response to a GET.
pub fn redirect(method: &Method, target: &str) -> Response {
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    if let Ok(target) = HeaderValue::from_str(target) {
        response.headers_mut().insert(LOCATION, target);
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, html);
    }
    if method == Method::GET {
        let link = format!("<a href=\"{}\">Temporary Redirect</a>.\n\n", escape_html(target));
        *response.body_mut() = link.into();
    }
    response
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

pub(crate) async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "404 page not found")
}

pub(crate) async fn method_not_allowed() -> Response {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}
