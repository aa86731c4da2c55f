//! `/metrics`: everything registered, in Prometheus' text format.

use std::io::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use prometheus::{Encoder as _, Registry, TextEncoder};

use crate::negotiation;
use crate::response;
use crate::state::PageState;

pub(crate) async fn respond(State(state): State<Arc<PageState>>, headers: HeaderMap) -> Response {
    let metrics = &state.metrics;
    metrics.scrapes_in_flight.inc();
    let text = render(&metrics.registry);
    metrics.scrapes_in_flight.dec();
    let response = match text {
        Ok(text) => page(text, &headers),
        Err(error) => {
            tracing::error!(%error, "failed to encode metrics");
            response::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
    };
    metrics.scrapes.with_label_values(&[response.status().as_str()]).inc();
    response
}

fn render(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

fn page(text: Vec<u8>, request: &HeaderMap) -> Response {
    let escaping = negotiation::escaping(request.get(ACCEPT));
    let content_type =
        [(CONTENT_TYPE, format!("text/plain; version=0.0.4; charset=utf-8; escaping={escaping}"))];
    if !negotiation::prefers_gzip(request.get_all(ACCEPT_ENCODING)) {
        return (content_type, text).into_response();
    }
    let gzip = [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
    (content_type, gzip, compress(&text)).into_response()
}

fn compress(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).and_then(|()| encoder.finish()).expect("a vector takes every write")
}
