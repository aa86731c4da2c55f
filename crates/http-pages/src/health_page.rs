//! `/health`: one answer for load balancers and `etcdctl`, about the cluster or about this member alone.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;

use crate::answer;
use crate::query::Parameters;
use crate::router::Pages;

pub(crate) async fn answer(State(pages): State<Arc<Pages>>, uri: Uri) -> Response {
    let verdict = check(&pages, &Parameters::of(&uri)).await;
    match verdict {
        Ok(()) => pages.metrics.health_success.inc(),
        Err(_) => pages.metrics.health_failures.inc(),
    }
    let body = body(&verdict);
    match verdict {
        Ok(()) => {
            tracing::debug!("/health OK");
            answer::bare_text(body)
        }
        Err(reason) => {
            tracing::warn!(reason, "/health error");
            answer::error(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}

/// What is wrong, the first of: an alarm, no leader, a failing read.
async fn check(pages: &Pages, parameters: &Parameters) -> Result<(), String> {
    let serializable = parameters.first("serializable") == Some("true");
    for alarm in pages.member.alarms() {
        if !parameters.contains("exclude", alarm.kind.name()) {
            let raised_by = format!("{:x}", alarm.member_id);
            tracing::warn!(raised_by, alarm = alarm.kind.name(), "serving /health false due to an alarm");
            return Err(format!("ALARM {}", alarm.kind.name()));
        }
    }
    if !serializable && !pages.member.has_leader() {
        return Err("RAFT NO LEADER".to_owned());
    }
    pages.read(!serializable).await.map_err(|error| format!("RANGE ERROR:{error}"))
}

fn body(verdict: &Result<(), String>) -> String {
    #[derive(Serialize)]
    struct Answer<'a> {
        // A string, as it has always been.
        health: &'a str,
        reason: &'a str,
    }
    let answer = match verdict {
        Ok(()) => Answer { health: "true", reason: "" },
        Err(reason) => Answer { health: "false", reason },
    };
    serde_json::to_string(&answer).expect("strings have a JSON form")
}
