//! Calls in JSON, on the paths below `/v3/`, behind the gate of the pages.

use std::sync::Arc;

use ferretcd_engine::Auth;
use ferretcd_gateway::{Gateway, Upgrade};
use ferretcd_http_pages::{Gate, redirect};
use ferretcd_listen::Connection;
use ferretcd_tls::PeerIdentity;
use http::header::{CONTENT_TYPE, SEC_WEBSOCKET_VERSION, X_CONTENT_TYPE_OPTIONS};
use http::{Extensions, HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tonic::body::Body;

use crate::calls::Calls;

/// The text with which etcd tells a client that its certificate does not make it a user here.
const CERTIFICATE_IGNORED: &str =
    "CommonName of client sending a request against gateway will be ignored and not used as expected";
/// The root of all paths, to which Go's router leads from the path without its slash.
const ROOT: &str = "/v3/";

/// What calls in JSON are made with.
pub(crate) struct Json {
    pub(crate) gate: Gate,
    pub(crate) gateway: Gateway,
    pub(crate) calls: Calls,
    pub(crate) auth: Auth,
}

/// Whether a path is the gateway's, or an older one that stands for one of its.
pub(crate) fn has_path(uri: &Uri) -> bool {
    let path = uri.path();
    path == "/v3" || path.starts_with(ROOT) || path.starts_with("/v3beta/")
}

/// Responds to a request with a path of the gateway.
pub(crate) async fn respond(json: Arc<Json>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let called = json.gate.pass(head, |head| call(&json, Request::from_parts(head, body))).await;
    called.unwrap_or_else(|response| response.map(Body::new))
}

async fn call(json: &Arc<Json>, request: Request<Incoming>) -> Response<Body> {
    if request.uri().path().len() < ROOT.len() {
        return redirect(request.method(), ROOT).map(Body::new);
    }
    if json.auth.is_enabled() && names_a_user(request.extensions()) {
        return error(StatusCode::BAD_REQUEST, CERTIFICATE_IGNORED);
    }
    let (head, body) = request.into_parts();
    let upgrade = Upgrade::of(&head);
    let mut request = Request::from_parts(head, body);
    match upgrade {
        Upgrade::Other => json.gateway.call(request, json.calls.clone()).await.map(Body::new),
        Upgrade::Rejected(status) => {
            let mut response = error(status, status.canonical_reason().unwrap_or_default());
            response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            response
        }
        Upgrade::Accepted(response) => {
            let upgraded = hyper::upgrade::on(&mut request);
            let (head, _) = request.into_parts();
            let (extensions, json) = (head.extensions.clone(), Arc::clone(json));
            Connection::upgrade(&extensions, async move {
                if let Ok(stream) = upgraded.await {
                    json.gateway.serve_websocket(head, TokioIo::new(stream), json.calls.clone()).await;
                }
            });
            response.map(|()| Body::empty())
        }
    }
}

/// An error in the form of Go's HTTP library.
fn error(status: StatusCode, reason: &str) -> Response<Body> {
    let mut response = Response::new(Body::new(format!("{reason}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether the client's certificate is one by which gRPC would know the user.
fn names_a_user(extensions: &Extensions) -> bool {
    extensions.get::<Arc<PeerIdentity>>().is_some_and(|identity| !identity.common_name.is_empty())
}
