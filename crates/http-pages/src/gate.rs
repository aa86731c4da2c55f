//! The gate before all pages.
//!
//! ```text
//! request ─► well-formed ─► host is allowed ─► CORS ─► path is clean ─► page
//!               (400)            (421)       (OPTIONS)     (307)      (404, 405, 200, ...)
//! ```
//!
//! It is the order of etcd: the first step is that of Go's HTTP server, the second and third are those of a client URL,
//! the fourth is that of Go's router.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};

use crate::access::{Access, add_cors};
use crate::{host, path, response};

/// What a gate checks.
pub(crate) struct Gate {
    /// `None` where every host and no foreign origin is allowed.
    pub(crate) access: Option<Access>,
}

/// Passes a request on to its page, or responds itself.
pub(crate) async fn enter(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    if gate.access.is_some() {
        head.uri = path::renamed(head.uri);
    }
    if let Some(fault) = path::fault(&head).or_else(|| host::fault(&head)) {
        return response::bad_request(fault);
    }
    if let Some(rejection) = gate.access.as_ref().and_then(|access| access.rejection(&head)) {
        return rejection;
    }
    let origin = gate.access.as_ref().and_then(|access| access.allowed_origin(&head.headers));
    let mut response = match (&gate.access, path::redirect(&head)) {
        (Some(_), _) if head.method == Method::OPTIONS => StatusCode::OK.into_response(),
        (_, Some(redirect)) => redirect,
        (_, None) => {
            head.uri = path::unescape(head.uri);
            next.run(Request::from_parts(head, body)).await
        }
    };
    if let Some(origin) = origin {
        add_cors(response.headers_mut(), origin);
    }
    response
}
