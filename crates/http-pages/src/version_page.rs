//! `/version`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use crate::state::PageState;

pub(crate) async fn respond(State(state): State<Arc<PageState>>) -> Response {
    #[derive(Serialize)]
    struct Body<'a> {
        etcdserver: &'a str,
        etcdcluster: &'a str,
        storage: &'a str,
    }
    let versions = state.member.versions();
    let body = serde_json::to_string(&Body {
        etcdserver: &versions.server,
        etcdcluster: versions.cluster.as_deref().unwrap_or("not_decided"),
        storage: versions.storage.as_deref().unwrap_or("unknown"),
    });
    let body = body.expect("strings have a JSON form");
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
