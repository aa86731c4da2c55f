//! Running a member: start, serve, and end by a signal.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ferretcd_embed::{AuditSink, Builder, Contents, End, Prepared, Server, StartError};
use ferretcd_engine::explain;
use ferretcd_flags::FeatureGates;
use ferretcd_logging::LevelHandle;
use prometheus::IntCounter;
use tracing::{error, info};

use crate::audit::Audit;
use crate::config::ProgramConfig;
use crate::features;
use crate::lifecycle::{
    ExitSignal, FD_RESERVED, ReloadSignal, StartSignals, lock_memory, notify_ready, raise_fd_limit,
};
use crate::reload::Reloads;
use crate::spans::Spans;
use crate::start_line::log_start;

/// How long the end waits for threads that read for clients.
const STRAGGLERS_TIMEOUT: Duration = Duration::from_secs(1);
/// How many tasks a worker runs before it looks at what others have queued for it. With a thousand calls under way
/// its own queue overflows into that one, and at tokio's default the overflow waits a tenth of a second.
const GLOBAL_QUEUE_TICKS: u32 = 8;
/// How many tasks a worker runs before it looks at the sockets.
const EVENT_TICKS: u32 = 31;
/// Threads that read large ranges at the same time. More would not read faster, but hold more responses in memory.
const BLOCKING_THREADS_MAX: usize = 16;

/// Why a member did not run, or not to its end.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Start(StartError),
    #[error("start the runtime: {0}")]
    Runtime(io::Error),
    #[error("catch signals: {0}")]
    Signals(io::Error),
    #[error("{0}")]
    Failed(String),
}

/// How a member ends in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Signal(ExitSignal),
    /// The cluster has removed the member.
    Removed,
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Failed(reason) => Self::Failed(reason),
            error => Self::Start(error),
        }
    }
}

/// Runs a member until a signal ends it; returns the exit status.
pub(crate) fn run(config: ProgramConfig, level: LevelHandle, signals: StartSignals) -> ExitCode {
    let descriptors = match raise_fd_limit() {
        Ok(limit) => limit,
        Err(error) => {
            error!(level = "fatal", limit = error.limit, "recommended-limit" = FD_RESERVED, "{error}");
            return ExitCode::FAILURE;
        }
    };
    if config.locks_memory
        && let Err(error) = lock_memory()
    {
        return fatal("failed to open database", &error);
    }
    let mut server = config.server.clone();
    server.limits.connections_max = usize::try_from(descriptors - FD_RESERVED).ok();
    let mut builder = Server::builder(server);
    let found = match builder.contents() {
        Ok(found) => found,
        Err(error) => return fatal("failed to use the data directory", &error),
    };
    let message = match found {
        Contents::Empty => "Initialize and start etcd server",
        Contents::Member => "server has already been initialized",
    };
    info!("data-dir" = %config.server.data_dir.display(), "dir-type" = found.as_str(), "{message}");
    log_start(&config);
    let spans = match config.spans.as_ref().map(Spans::start).transpose() {
        Ok(spans) => spans,
        Err(error) => {
            return fatal("failed to prepare distributed tracing; see --distributed-tracing-address", &error);
        }
    };
    // Outermost, as in etcd.
    if let Some(spans) = &spans {
        builder = builder.layer(spans.layer());
    }
    let audit = match config.audit.as_ref().map(Audit::open).transpose() {
        Ok(audit) => audit,
        Err(error) => return fatal("failed to open the audit log; see --audit-log", &error),
    };
    if let Some(audit) = &audit {
        builder = builder.audit(Arc::clone(audit) as Arc<dyn AuditSink>);
    }
    let lost: Vec<_> = [audit.as_ref().map(|it| &it.dropped), spans.as_ref().map(|it| &it.dropped)]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let gates = config.settings.gates("feature-gates");
    let reloads = Reloads::new(config.settings, level);
    let exit = run_member(builder, config.worker_threads, &gates, signals, audit.as_deref(), &lost, reloads);
    if let Some(audit) = audit {
        audit.finish();
    }
    drop(spans);
    match exit {
        Ok(Exit::Signal(signal)) => signal.end_process(),
        Ok(Exit::Removed) => ExitCode::SUCCESS,
        Err(error @ RunError::Failed(_)) => fatal("etcd server failed", &explain(&error)),
        Err(error) => fatal("failed to start etcd server", &explain(&error)),
    }
}

/// Logs what has ended the program.
fn fatal(what: &str, error: &dyn Display) -> ExitCode {
    error!(level = "fatal", %error, "{what}");
    ExitCode::FAILURE
}

fn run_member(
    builder: Builder,
    worker_threads: Option<usize>,
    gates: &FeatureGates,
    signals: StartSignals,
    audit: Option<&Audit>,
    lost: &[IntCounter],
    reloads: Reloads,
) -> Result<Exit, RunError> {
    let prepared = builder.prepare()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = worker_threads.unwrap_or_else(|| default_workers(cores));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("rim")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .global_queue_interval(GLOBAL_QUEUE_TICKS)
        .event_interval(EVENT_TICKS)
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let exit = runtime.block_on(serve(prepared, gates, signals, audit, lost, reloads));
    // What they read is of no use any more, and may take long.
    runtime.shutdown_timeout(STRAGGLERS_TIMEOUT);
    exit
}

/// One core is left to the threads that order, log and apply. With two cores there are two workers all the same: one
/// that is busy with a large request of one client holds up no other.
fn default_workers(cores: usize) -> usize {
    cores.saturating_sub(1).max(cores.min(2))
}

async fn serve(
    prepared: Prepared,
    gates: &FeatureGates,
    signals: StartSignals,
    audit: Option<&Audit>,
    lost: &[IntCounter],
    reloads: Reloads,
) -> Result<Exit, RunError> {
    // Before clients are served, so that none is lost behind the log line that says so.
    let reload = ReloadSignal::receive().map_err(RunError::Signals)?;
    let server = prepared.bootstrap().await?.start().await?;
    features::register(gates, server.registry()).map_err(StartError::from)?;
    for counter in lost {
        server.registry().register(Box::new(counter.clone())).map_err(StartError::from)?;
    }
    let exit = serve_until_exit(&server, signals, reload, audit, reloads).await;
    server.stop().await;
    exit
}

async fn serve_until_exit(
    server: &Server,
    signals: StartSignals,
    mut reload: ReloadSignal,
    audit: Option<&Audit>,
    mut reloads: Reloads,
) -> Result<Exit, RunError> {
    let mut signals = signals.receive().map_err(RunError::Signals)?;
    tokio::select! {
        // A signal after the log line that the member serves must find it ready.
        biased;
        ready = server.ready() => match ready {
            Ok(()) => {}
            Err(StartError::Removed) => return Ok(Exit::Removed),
            Err(error) => return Err(error.into()),
        },
        signal = signals.recv() => {
            // Clients may have been served already.
            if let Some(audit) = audit {
                audit.finish();
            }
            signal.end_start()
        }
    }
    notify_ready();
    loop {
        tokio::select! {
            signal = signals.recv() => {
                info!(signal = signal.name(), "received signal; shutting down");
                return Ok(Exit::Signal(signal));
            }
            // This thread serves nothing: it may wait for the file, a regular one, whose bytes come without a writer.
            () = reload.recv() => reloads.reload(server),
            end = server.ended() => return match end {
                End::Removed => Ok(Exit::Removed),
                End::Failed(reason) => Err(RunError::Failed(reason)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::default_workers;

    #[test]
    fn workers_leave_a_core_and_are_two_if_they_can() {
        assert_eq!([1, 2, 3, 4, 64].map(default_workers), [1, 2, 2, 3, 63]);
    }
}
