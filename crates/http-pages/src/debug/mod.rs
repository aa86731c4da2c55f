//! Pages under `/debug`: the process seen from inside, for its developers and operators.
//!
//! The paths are etcd's, and so are the formats where there is something to show. What only Go has is missing with a text
//! that says so. Nothing is measured before it is requested.

mod cpu;
mod heap;
mod profile;
mod profiles;
mod requests;
mod threads;
pub(crate) mod vars;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, Response};
use axum::routing::any;
use http::header::CONTENT_DISPOSITION;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::config::Debug;
use crate::response;
use crate::state::PageState;

/// By it Go's tool knows that an error has a text that it can show.
const FROM_PPROF: HeaderName = HeaderName::from_static("x-go-pprof");

/// Adds the pages that the configuration allows. Profiles take any method, as in Go.
pub(crate) fn add_pages(mut pages: Router<Arc<PageState>>, debug: &Debug) -> Router<Arc<PageState>> {
    if debug.has_profiles {
        pages = pages
            .route("/debug/pprof", any(async |method: Method| response::redirect(&method, "/debug/pprof/")))
            .route("/debug/pprof/", any(async || Html(INDEX)))
            .route("/debug/pprof/cmdline", any(command_line))
            .route("/debug/pprof/profile", any(profiles::cpu))
            .route("/debug/pprof/heap", any(profiles::heap))
            .route("/debug/pprof/threadcreate", any(profiles::threads))
            .route("/debug/pprof/symbol", any(async || response::text(StatusCode::OK, "num_symbols: 0\n")))
            .route("/debug/pprof/{*name}", any(profiles::missing));
    }
    if debug.has_requests {
        pages = pages.route("/debug/requests", any(requests::respond)).route("/debug/events", any(events));
    }
    pages
}

/// The arguments, each but the last one with a zero byte behind it.
async fn command_line(State(state): State<Arc<PageState>>) -> Response {
    response::text(StatusCode::OK, state.config.debug.command_line.join("\0"))
}

async fn events() -> Response {
    response::error(StatusCode::NOT_IMPLEMENTED, "ferretcd keeps no events of connections; its log has them")
}

/// An error that Go's tool shows.
fn error(status: StatusCode, reason: &str) -> Response {
    let mut response = response::error(status, reason);
    response.headers_mut().insert(FROM_PPROF, HeaderValue::from_static("1"));
    response
}

/// A file of this name.
fn file(name: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = response::text(StatusCode::OK, bytes);
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    headers.insert(CONTENT_DISPOSITION, disposition.expect("names of profiles are plain"));
    response
}

const INDEX: &str = "\
<html>
<head><title>/debug/pprof/</title></head>
<body>
<h1>/debug/pprof/</h1>
<p><code>go tool pprof http://HOST:PORT/debug/pprof/profile</code> shows a profile.</p>
<table>
<tr><td><a href='cmdline'>cmdline</a></td><td>The command line, without secrets.</td></tr>
<tr><td><a href='profile?seconds=10'>profile</a></td><td>Where the processor time goes. The parameter
<code>seconds</code> says for how long to look, 30 s if there is none. One at a time.</td></tr>
<tr><td><a href='heap?debug=1'>heap</a></td><td>Resident memory by what it is mapped to.</td></tr>
<tr><td><a href='threadcreate?debug=1'>threadcreate</a></td><td>The threads and the processor time of each.</td></tr>
</table>
<p>With <code>debug=1</code> the last two are text. allocs, block, goroutine, mutex and trace are profiles of Go's runtime,
which ferretcd does not have.</p>
</body>
</html>
";
