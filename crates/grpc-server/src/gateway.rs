//! Calls in JSON, on the paths below `/v3/`, behind the gate of the pages.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferretcd_engine::Auth;
use ferretcd_gateway::{Gateway, Upgrade};
use ferretcd_http_pages::{Gate, error, redirect};
use ferretcd_listen::{Connection, Drain};
use ferretcd_tls::PeerIdentity;
use http::header::{EXPECT, SEC_WEBSOCKET_VERSION};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tonic::body::Body;

use crate::calls::Calls;

/// Etcd's text for a client whose certificate would make it a user on the port of gRPC.
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
    pub(crate) drain: Drain,
}

/// Whether a path is the gateway's, or an older one that stands for one of its.
pub(crate) fn has_path(uri: &Uri) -> bool {
    let path = percent_decode_str(uri.path()).decode_utf8_lossy();
    path == "/v3" || path.starts_with(ROOT) || path.starts_with("/v3beta/")
}

/// Responds to a request with a path of the gateway.
pub(crate) async fn respond(json: Arc<Json>, request: Request<Incoming>) -> Response<Body> {
    let drain = json.drain.clone();
    let request = UnreadBody::of(request, drain);
    let (head, body) = request.into_parts();
    let called = json.gate.pass(head, |head| call(&json, Request::from_parts(head, body))).await;
    called.unwrap_or_else(|response| response.map(Body::new))
}

async fn call(json: &Arc<Json>, mut request: Request<UnreadBody>) -> Response<Body> {
    if request.uri().path().len() < ROOT.len() {
        return redirect(request.method(), ROOT).map(Body::new);
    }
    // A certificate makes no caller of the gateway a user, now or later.
    let identity = request.extensions_mut().remove::<Arc<PeerIdentity>>();
    if json.auth.is_enabled() && identity.is_some_and(|identity| !identity.common_name.is_empty()) {
        return error(StatusCode::BAD_REQUEST, CERTIFICATE_IGNORED).map(Body::new);
    }
    match Upgrade::of(&request) {
        Upgrade::Other => json.gateway.call(request, json.calls.clone()).await.map(Body::new),
        Upgrade::Rejected(status) => {
            let mut response = error(status, status.canonical_reason().unwrap_or_default()).map(Body::new);
            response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            response
        }
        // To a browser a socket is no response that an origin could be kept from.
        Upgrade::Accepted(_) if !json.gate.allows_origin(request.headers()) => {
            error(StatusCode::FORBIDDEN, "Forbidden").map(Body::new)
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

/// A body that is read to its end also when it is dropped before, so that its sender sees the response; see
/// [`ferretcd_listen::discard`].
struct UnreadBody {
    /// `None` once it has been read, and if the client has not sent it: one that waits for `100 Continue` has not.
    body: Option<Incoming>,
    version: Version,
    is_awaited: bool,
    drain: Drain,
}

impl UnreadBody {
    fn of(request: Request<Incoming>, drain: Drain) -> Request<Self> {
        let (version, is_awaited) = (request.version(), request.headers().contains_key(EXPECT));
        request.map(|body| Self { body: Some(body), version, is_awaited, drain })
    }
}

impl http_body::Body for UnreadBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_awaited = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }
}

impl Drop for UnreadBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !self.is_awaited
            && !body.is_end_stream()
        {
            tokio::spawn(ferretcd_listen::discard(self.version, body, self.drain.clone()));
        }
    }
}
