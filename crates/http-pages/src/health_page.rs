//! `/health`: one verdict for load balancers and `etcdctl`, about the cluster or about this member alone.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;

use crate::query::Parameters;
use crate::response;
use crate::state::PageState;

pub(crate) async fn respond(State(state): State<Arc<PageState>>, uri: Uri) -> Response {
    let verdict = check(&state, &Parameters::of(&uri)).await;
    match verdict {
        Ok(()) => state.metrics.health_success.inc(),
        Err(_) => state.metrics.health_failures.inc(),
    }
    let body = body(&verdict);
    match verdict {
        Ok(()) => {
            tracing::debug!("/health OK");
            response::bare_text(body)
        }
        Err(reason) => {
            tracing::warn!(reason, "/health error");
            response::error(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}

/// The first fault of these: an alarm, no leader, a failing read.
async fn check(state: &PageState, parameters: &Parameters) -> Result<(), String> {
    let serializable = parameters.first("serializable") == Some("true");
    for alarm in state.member.alarms() {
        if !parameters.contains("exclude", alarm.kind.name()) {
            let raised_by = format!("{:x}", alarm.member_id);
            tracing::warn!(raised_by, alarm = alarm.kind.name(), "serving /health false due to an alarm");
            return Err(format!("ALARM {}", alarm.kind.name()));
        }
    }
    if !serializable && !state.member.has_leader() {
        return Err("RAFT NO LEADER".to_owned());
    }
    let read = state.read(!serializable, "context deadline exceeded").await;
    read.map_err(|error| format!("RANGE ERROR:{error}"))
}

fn body(verdict: &Result<(), String>) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        // A string, as it has always been.
        health: &'a str,
        reason: &'a str,
    }
    let body = match verdict {
        Ok(()) => Body { health: "true", reason: "" },
        Err(reason) => Body { health: "false", reason },
    };
    serde_json::to_string(&body).expect("strings have a JSON form")
}
