//! Calls in JSON, on the paths below `/v3/` beside the pages.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use ferretcd_engine::Auth;
use ferretcd_gateway::{Gateway, Upgrade};
use ferretcd_http_pages::redirect;
use ferretcd_listen::Connection;
use ferretcd_tls::PeerIdentity;
use http::header::{HeaderName, SEC_WEBSOCKET_VERSION, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode, Uri};
use hyper_util::rt::TokioIo;

use crate::calls::Calls;

/// What calls in JSON are made with.
struct Json {
    gateway: Gateway,
    calls: Calls,
    auth: Auth,
}

/// The paths of the gateway, and the older ones that stand for them.
pub(crate) fn has_path(uri: &Uri) -> bool {
    uri.path().starts_with("/v3/") || uri.path().starts_with("/v3beta/")
}

/// Everything below `/v3/`, where paths without a method have an error of the gateway's.
pub(crate) fn routes(gateway: Gateway, calls: Calls, auth: Auth) -> Router {
    let json = Arc::new(Json { gateway, calls, auth });
    // As Go's router does for a path that is the root of others.
    let root = |method: Method| async move { redirect(&method, "/v3/") };
    Router::new()
        .route("/v3", any(root))
        .route("/v3/", any(respond))
        .route("/v3/{*path}", any(respond))
        .with_state(json)
}

async fn respond(State(json): State<Arc<Json>>, request: Request) -> Response {
    if json.auth.is_enabled() && names_a_user(&request) {
        return (StatusCode::BAD_REQUEST, [NOSNIFF], CERTIFICATE_IGNORED).into_response();
    }
    let (head, body) = request.into_parts();
    match Upgrade::of(&head) {
        Upgrade::Other => {
            let request = Request::from_parts(head, body);
            let response = json.gateway.call(request, json.calls.clone()).await;
            response.map(Body::new)
        }
        Upgrade::Rejected(status) => {
            let reason = format!("{}\n", status.canonical_reason().unwrap_or_default());
            (status, [NOSNIFF, (SEC_WEBSOCKET_VERSION, "13")], reason).into_response()
        }
        Upgrade::Accepted(response) => {
            let mut request = Request::from_parts(head, body);
            let upgraded = hyper::upgrade::on(&mut request);
            let (head, _) = request.into_parts();
            let extensions = head.extensions.clone();
            Connection::upgrade(&extensions, async move {
                if let Ok(stream) = upgraded.await {
                    json.gateway.serve_websocket(head, TokioIo::new(stream), json.calls.clone()).await;
                }
            });
            response.map(|()| Body::empty())
        }
    }
}

/// What Go's HTTP library says with each error of its own.
const NOSNIFF: (HeaderName, &str) = (X_CONTENT_TYPE_OPTIONS, "nosniff");

/// The text with which etcd tells a client that its certificate does not make it a user here.
const CERTIFICATE_IGNORED: &str =
    "CommonName of client sending a request against gateway will be ignored and not used as expected\n";

/// Whether the client's certificate is one by which gRPC would know the user.
fn names_a_user(request: &Request) -> bool {
    let identity = request.extensions().get::<Arc<PeerIdentity>>();
    identity.is_some_and(|identity| !identity.common_name.is_empty())
}
