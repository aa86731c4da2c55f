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
use http::header::ORIGIN;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use crate::access::{Access, add_cors};
use crate::{host, path, response};

/// The checks before everything that is served beside gRPC.
#[derive(Debug)]
pub struct Gate {
    /// `None` where every host and no foreign origin is allowed.
    pub(crate) access: Option<Access>,
}

impl Gate {
    /// Whether scripts of the origin that a request names may read responses; true if it names none.
    pub fn allows_origin(&self, headers: &HeaderMap) -> bool {
        !headers.contains_key(ORIGIN)
            || self.access.as_ref().is_some_and(|access| access.allowed_origin(headers).is_some())
    }

    /// Passes a request on to what responds to it, its path spelled as routes are. Otherwise the response of the gate.
    pub async fn pass<B, F>(
        &self,
        mut head: Parts,
        respond: impl FnOnce(Parts) -> F,
    ) -> Result<http::Response<B>, Response>
    where
        F: Future<Output = http::Response<B>>,
    {
        if self.access.is_some() {
            head.uri = path::renamed(head.uri);
        }
        if let Some(fault) = path::fault(&head).or_else(|| host::fault(&head)) {
            return Err(response::bad_request(fault));
        }
        if let Some(rejection) = self.access.as_ref().and_then(|access| access.rejection(&head)) {
            return Err(rejection);
        }
        let origin = self.access.as_ref().and_then(|access| access.allowed_origin(&head.headers));
        let mut response = match (&self.access, path::redirect(&head)) {
            (Some(_), _) if head.method == Method::OPTIONS => Err(StatusCode::OK.into_response()),
            (_, Some(redirect)) => Err(redirect),
            (_, None) => {
                head.uri = path::unescape(head.uri);
                Ok(respond(head).await)
            }
        };
        if let Some(origin) = origin {
            add_cors(
                response.as_mut().map_or_else(Response::headers_mut, http::Response::headers_mut),
                origin,
            );
        }
        response
    }
}

/// The gate as a layer of the pages.
pub(crate) async fn enter(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let passed = gate.pass(head, |head| next.run(Request::from_parts(head, body))).await;
    passed.unwrap_or_else(|response| response)
}
