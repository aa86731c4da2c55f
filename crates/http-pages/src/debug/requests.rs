//! `/debug/requests`: how many calls of each method there were, and how many go on.
//!
//! etcd shows the last calls with their messages. Here no call is kept: the log at level `debug` has a line for each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use prometheus::proto::{Metric, MetricFamily};

use crate::response;
use crate::state::PageState;

#[derive(Debug, Default)]
struct Calls {
    started: f64,
    ended: f64,
    failed: f64,
}

pub(super) async fn respond(State(state): State<Arc<PageState>>) -> Response {
    response::text(StatusCode::OK, table(&state.metrics.registry.gather()))
}

fn table(families: &[MetricFamily]) -> String {
    let series = |name: &str| {
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(&[][..], MetricFamily::get_metric)
    };
    let mut methods: BTreeMap<String, Calls> = BTreeMap::new();
    for metric in series("grpc_server_started_total") {
        methods.entry(method(metric)).or_default().started += metric.get_counter().get_value();
    }
    for metric in series("grpc_server_handled_total") {
        let calls = methods.entry(method(metric)).or_default();
        calls.ended += metric.get_counter().get_value();
        if label(metric, "grpc_code") != "OK" {
            calls.failed += metric.get_counter().get_value();
        }
    }
    let mut text = format!("{:>10} {:>12} {:>12} method\n", "active", "ended", "failed");
    for (name, calls) in methods.iter().filter(|(_, calls)| calls.started > 0.0) {
        let active = (calls.started - calls.ended).max(0.0);
        let _ = writeln!(text, "{active:>10} {:>12} {:>12} {name}", calls.ended, calls.failed);
    }
    text
}

fn method(metric: &Metric) -> String {
    format!("{}/{}", label(metric, "grpc_service"), label(metric, "grpc_method"))
}

fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    metric.get_label().iter().find(|label| label.name() == name).map_or("", |label| label.value())
}
