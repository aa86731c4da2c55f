//! `/livez` and `/readyz`: whether to restart this member, and whether to send it work.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};

use crate::health::AlarmKind;
use crate::query::Parameters;
use crate::response;
use crate::state::PageState;

/// In etcd the read itself ends with this; the deadline of `/health` comes before it.
const TIMED_OUT: &str = "etcdserver: request timed out";

/// A page that runs several checks.
pub(crate) struct Probe {
    /// The path without the slash, and the label `type` of its metrics.
    pub(crate) name: &'static str,
    pub(crate) checks: &'static [Check],
}

pub(crate) static LIVEZ: Probe = Probe { name: "livez", checks: &[Check::SerializableRead] };

pub(crate) static READYZ: Probe = Probe {
    name: "readyz",
    checks: &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

impl Check {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }

    async fn run(self, state: &PageState) -> Result<(), String> {
        match self {
            Check::DataCorruption => {
                let corrupt = state.member.alarms().iter().any(|alarm| alarm.kind == AlarmKind::Corrupt);
                if corrupt { Err("alarm activated: CORRUPT".to_owned()) } else { Ok(()) }
            }
            Check::SerializableRead => state.read(false, TIMED_OUT).await,
            Check::LinearizableRead => state.read(true, TIMED_OUT).await,
            Check::NonLearner if state.member.is_learner() => Err("not supported for learner".to_owned()),
            Check::NonLearner => Ok(()),
        }
    }
}

/// All checks of `probe` but the excluded ones.
pub(crate) async fn probe_page(probe: &'static Probe, state: State<Arc<PageState>>, uri: Uri) -> Response {
    let parameters = Parameters::of(&uri);
    let is_known = |name: &str| probe.checks.iter().any(|check| check.name() == name);
    for unknown in parameters.all("exclude").filter(|name| !is_known(name)) {
        tracing::warn!(check = unknown, "some health checks cannot be excluded");
    }
    let included = |check: &&Check| !parameters.contains("exclude", check.name());
    let checks: Vec<Check> = probe.checks.iter().filter(included).copied().collect();
    report(probe, &checks, &state, &parameters).await
}

/// One check of `probe`, whatever is excluded.
pub(crate) async fn single_page(
    probe: &'static Probe,
    check: Check,
    state: State<Arc<PageState>>,
    uri: Uri,
) -> Response {
    report(probe, &[check], &state, &Parameters::of(&uri)).await
}

async fn report(probe: &Probe, checks: &[Check], state: &PageState, parameters: &Parameters) -> Response {
    let mut lines = String::new();
    let mut passed = true;
    for check in checks {
        let result = check.run(state).await;
        count(state, probe, *check, result.is_ok());
        passed &= result.is_ok();
        match result {
            Ok(()) => writeln!(lines, "[+]{} ok", check.name()),
            Err(error) => writeln!(lines, "[-]{} failed: {error}", check.name()),
        }
        .expect("a string takes every write");
    }
    if !passed {
        tracing::error!(path = probe.name, reason = lines, "Health check error");
        return response::error(StatusCode::SERVICE_UNAVAILABLE, &lines);
    }
    let verbose = parameters.first("verbose").is_some();
    response::text(StatusCode::OK, if verbose { lines + "ok\n" } else { "ok\n".to_owned() })
}

fn count(state: &PageState, probe: &Probe, check: Check, passed: bool) {
    let labels = [probe.name, check.name()];
    state.metrics.healthcheck.with_label_values(&labels).set(passed.into());
    let status = if passed { "success" } else { "error" };
    state.metrics.healthchecks.with_label_values(&[labels[0], labels[1], status]).inc();
}
