//! The crate `etcd-client` against the server that `INTEROP_ENDPOINT` names. The expectations are those of etcd
//! 3.7.1. Either server has to be started with `--watch-progress-notify-interval=200ms`.
//!
//! The argument chooses the cases: `calls`, or `restarts`, in which the caller restarts the server on request. The
//! suites in `tests/tests/interop.rs` run both. A case that fails panics.

mod calls;
mod restarts;
mod support;

use std::env;
use std::process::ExitCode;

use support::Server;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Ok(endpoint) = env::var("INTEROP_ENDPOINT") else {
        println!("INTEROP_ENDPOINT does not name a server");
        return ExitCode::FAILURE;
    };
    let mut server = Server::new(endpoint);
    match env::args().nth(1).as_deref() {
        Some("calls") => calls::run(&server).await,
        Some("restarts") => restarts::run(&mut server).await,
        _ => {
            println!("usage: etcd-client calls|restarts");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
