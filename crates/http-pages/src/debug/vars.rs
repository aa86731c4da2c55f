//! `/debug/vars`: command line, limit of descriptors and raft, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::health::Raft;
use crate::state::PageState;

pub(crate) async fn respond(State(state): State<Arc<PageState>>) -> Response {
    let mut lines = vec![("cmdline", json(&state.config.debug.command_line))];
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        lines.push(("file_descriptor_limit", json(&limit)));
    }
    if let Some(raft) = state.member.raft().await {
        lines.push(("raft.status", json(&RaftForm::from(raft))));
    }
    let lines: Vec<_> = lines.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    let content_type = HeaderValue::from_static("application/json; charset=utf-8");
    ([(CONTENT_TYPE, content_type)], format!("{{\n{}\n}}\n", lines.join(",\n"))).into_response()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain values have a JSON form")
}

/// Raft in the form of etcd's library: ids of members are hexadecimal.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RaftForm {
    id: String,
    term: u64,
    vote: String,
    commit: u64,
    lead: String,
    raft_state: &'static str,
    applied: u64,
    progress: BTreeMap<String, ProgressForm>,
    leadtransferee: String,
}

#[derive(Serialize)]
struct ProgressForm {
    r#match: u64,
    next: u64,
    state: &'static str,
}

impl From<Raft> for RaftForm {
    fn from(raft: Raft) -> Self {
        let hex = |id: u64| format!("{id:x}");
        let progress = raft.progress.iter().map(|member| {
            let form = ProgressForm { r#match: member.matched, next: member.next, state: member.state };
            (hex(member.id), form)
        });
        Self {
            id: hex(raft.id),
            term: raft.term,
            vote: hex(raft.vote),
            commit: raft.committed,
            lead: hex(raft.leader),
            raft_state: raft.role,
            applied: raft.applied,
            progress: progress.collect(),
            leadtransferee: hex(raft.transferee),
        }
    }
}
