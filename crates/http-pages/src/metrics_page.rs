//! `/metrics`: everything registered, in Prometheus' text format.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use prometheus::{Error, Registry, TextEncoder};

use crate::response;
use crate::state::PageState;

pub(crate) async fn respond(State(state): State<Arc<PageState>>) -> Response {
    let metrics = &state.metrics;
    metrics.scrapes_in_flight.inc();
    let text = render(&metrics.registry);
    metrics.scrapes_in_flight.dec();
    let response = match text {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "failed to encode metrics");
            response::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
    };
    metrics.scrapes.with_label_values(&[response.status().as_str()]).inc();
    response
}

const TEXT_FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

fn render(registry: &Registry) -> Result<String, Error> {
    TextEncoder::new().encode_to_string(&registry.gather())
}
