//! `/debug/pprof/...`: profiles, as files for Go's tool or as text.

use std::time::Duration;
use std::{env, io};

use axum::extract::Path;
use axum::response::Response;
use http::{StatusCode, Uri};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::cpu::Turn;
use super::{error, file, heap, threads};
use crate::query::Parameters;
use crate::response;

/// What Go takes instead of nothing, nonsense, zero and less.
const SECONDS_DEFAULT: i64 = 30;
/// A longer look costs without telling more.
const SECONDS_MAX: i64 = 300;

/// Where the processor time goes from now on.
pub(super) async fn cpu(uri: Uri) -> Response {
    if cfg!(target_env = "musl") {
        // The C library is part of the binary there, so that it cannot be told apart.
        let reason = "a binary for musl cannot record stacks safely; use `perf`";
        return error(StatusCode::NOT_IMPLEMENTED, reason);
    }
    let parameters = Parameters::of(&uri);
    let seconds = parameters.first("seconds").and_then(|text| text.parse::<i64>().ok());
    let seconds = seconds.filter(|seconds| *seconds > 0).unwrap_or(SECONDS_DEFAULT);
    if seconds > SECONDS_MAX {
        let reason = format!("profile duration exceeds the limit of {SECONDS_MAX} s");
        return error(StatusCode::BAD_REQUEST, &reason);
    }
    let Some(turn) = Turn::take() else { return cannot_record("cpu profiling already in use") };
    let recording = match spawn_blocking(|| turn.record()).await.expect("a start does not panic") {
        Ok(recording) => recording,
        Err(reason) => {
            let directory = env::temp_dir();
            let hint = format!("it needs a writable TMPDIR, now {}", directory.display());
            return cannot_record(&format!("{reason} ({hint})"));
        }
    };
    sleep(Duration::from_secs(seconds.unsigned_abs())).await;
    match spawn_blocking(|| recording.finish()).await.expect("looking up names does not panic") {
        Ok(bytes) => file("profile", bytes),
        Err(reason) => cannot_record(&reason.to_string()),
    }
}

fn cannot_record(reason: &str) -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, &format!("Could not enable CPU profiling: {reason}"))
}

/// What memory is mapped to.
pub(super) async fn heap(uri: Uri) -> Response {
    of_process("heap", &uri, heap::file, heap::text).await
}

/// The threads that there are.
pub(super) async fn threads(uri: Uri) -> Response {
    of_process("threadcreate", &uri, threads::file, threads::text).await
}

/// What the kernel knows of the process, as text if the request says so.
async fn of_process(
    name: &'static str,
    uri: &Uri,
    as_file: fn() -> io::Result<Vec<u8>>,
    as_text: fn() -> io::Result<String>,
) -> Response {
    let debug = Parameters::of(uri).first("debug").and_then(|text| text.parse::<i64>().ok());
    let is_text = debug.is_some_and(|debug| debug != 0);
    let read = move || {
        if is_text {
            as_text().map(|text| response::text(StatusCode::OK, text))
        } else {
            as_file().map(|bytes| file(name, bytes))
        }
    };
    let page = spawn_blocking(read).await.expect("reading does not panic");
    page.unwrap_or_else(|reason| {
        error(StatusCode::INTERNAL_SERVER_ERROR, &format!("failed to read from /proc: {reason}"))
    })
}

/// What only Go has, and what nothing has.
pub(super) async fn missing(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "goroutine" => error(
            StatusCode::NOT_IMPLEMENTED,
            "ferretcd has no goroutines; its threads are at /debug/pprof/threadcreate",
        ),
        "allocs" | "block" | "mutex" | "trace" => {
            let reason = format!("ferretcd does not record {name}, which is a profile of Go's runtime");
            error(StatusCode::NOT_IMPLEMENTED, &reason)
        }
        _ => error(StatusCode::NOT_FOUND, "Unknown profile"),
    }
}
