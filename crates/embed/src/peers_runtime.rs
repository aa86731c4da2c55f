//! The thread of the traffic with other members.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

/// How long the end waits for threads that read or write a snapshot, which is of no use any more.
const STRAGGLERS_TIMEOUT: Duration = Duration::from_secs(1);
/// Threads that may block at the same time. Snapshots and hashes take them for seconds, but few come at once.
const BLOCKING_THREADS_MAX: usize = 16;

/// A runtime for the traffic with other members, so that no request of a client can hold up a heartbeat: one thread for
/// its tasks, and threads for what may block, snapshots and look-ups of names.
///
/// Dropping it ends it at once, its tasks soon after.
#[derive(Debug)]
pub(crate) struct PeersRuntime {
    /// None once it ends.
    runtime: Option<Runtime>,
}

impl PeersRuntime {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("peers")
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .enable_all()
            .build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("only the end takes it").handle()
    }

    /// Goes on until [`KeptRuntime::end`], or until the current runtime ends.
    pub(crate) fn keep(self) -> KeptRuntime {
        let (end, ending) = oneshot::channel();
        let keeping = tokio::spawn(async move {
            // Without a message the server was dropped, and goes on.
            if ending.await.is_err() {
                pending::<()>().await;
            }
            self.end().await;
        });
        KeptRuntime { end, keeping }
    }

    /// Returns when its tasks are dropped.
    async fn end(mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let ended = spawn_blocking(move || runtime.shutdown_timeout(STRAGGLERS_TIMEOUT)).await;
        ended.expect("the end of a runtime does not panic");
    }
}

impl Drop for PeersRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The only end that waits for nothing, and so may be anywhere.
            runtime.shutdown_background();
        }
    }
}

/// A runtime that does not end with the value that stands for it.
#[derive(Debug)]
pub(crate) struct KeptRuntime {
    end: oneshot::Sender<()>,
    keeping: JoinHandle<()>,
}

impl KeptRuntime {
    /// Returns when its tasks are dropped.
    pub(crate) async fn end(self) {
        // An error is a panic, which the panic hook has reported.
        let _ = self.end.send(());
        let _ = self.keeping.await;
    }
}
