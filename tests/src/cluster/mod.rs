//! The interface between a suite and a server under test, whatever it is and wherever it runs.

mod in_process;
mod log;
mod ports;
mod process;
mod program;

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

pub use in_process::InProcess;
pub(crate) use log::Log;
pub use process::Process;
pub(crate) use process::{describe, renamed};
pub(crate) use program::in_path;
pub use program::{Etcd34, Etcd37, Ferretcd, Missing, Program};

/// The API release a target speaks; expectations in scenarios may differ between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// etcd 3.4, what Debian ships.
    V3_4,
    /// etcd 3.7.1, which ferretcd reproduces.
    V3_7,
}

impl Release {
    /// Reads `3.4` or `3.7`, the form used in scenarios.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "3.4" => Some(Self::V3_4),
            "3.7" => Some(Self::V3_7),
            _ => None,
        }
    }
}

/// The properties of a target that expectations depend on.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Name in messages and in scenarios.
    pub name: &'static str,
    /// The API release it speaks.
    pub release: Release,
    /// Whether it is a real etcd, the reference. That it is not installed is no failure.
    pub reference: bool,
    /// Services it doesn't serve. A case that `needs` one of them is skipped, which is reported.
    pub lacks: &'static [&'static str],
}

/// The options of a server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further command line flags, in etcd's spelling.
    pub flags: Vec<String>,
}

/// A server that takes longer to shut down is taken for hanging.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Why a server is not serving.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program is not available on this machine.
    #[error("find the program")]
    Missing(#[from] Missing),
    /// The operating system refused to make a directory, bind a port or spawn the process.
    #[error("prepare or spawn the server")]
    Io(#[from] io::Error),
    /// The process ended before it was ready.
    #[error("start the server: it exited with {status} and logged:\n{logs}")]
    Exited {
        /// Its exit status, as the operating system reports it.
        status: String,
        /// Everything it wrote.
        logs: String,
    },
    /// The process runs but did not get ready in time.
    #[error("start the server: not ready after {waited:?}, it logged:\n{logs}")]
    NotReady {
        /// The deadline that passed.
        waited: Duration,
        /// Everything it wrote.
        logs: String,
    },
    /// A server without a command line got a flag that it has no setting for.
    #[error("understand {flag}: the server in this process knows {}", known.join(", "))]
    UnknownFlag {
        /// The flag with its value.
        flag: String,
        /// The names that it knows.
        known: &'static [&'static str],
    },
    /// The member in this process did not start.
    #[error(transparent)]
    Member(#[from] ferretcd_embed::StartError),
}

/// One running server with a data directory of its own, which is removed with the value.
///
/// Dropping a cluster ends it at once. What only a process can do is in [`Killable`].
pub trait Cluster: Sized + Send + Sync + 'static {
    /// The kind of this target.
    const KIND: Kind;

    /// Errs if this target is not available on this machine; suites skip it then.
    fn available() -> Result<(), Missing>;

    /// Starts in a fresh data directory, on free ports of the loopback device. Returns when it serves clients.
    fn start(options: &Options) -> impl Future<Output = Result<Self, StartError>> + Send;

    /// URL for clients, such as `http://127.0.0.1:40001`. May change in a restart.
    fn endpoint(&self) -> String;

    /// [`endpoint`](Self::endpoint) of each member.
    fn endpoints(&self) -> Vec<String> {
        vec![self.endpoint()]
    }

    /// The server's data directory.
    fn data_dir(&self) -> &Path;

    /// Everything logged since the first start; empty when the server's log is that of this process.
    fn logs(&self) -> String;

    /// Terminates the server and waits until it has ended. Errs when it takes over 30 s.
    fn stop(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Starts a server that is down again, with the same data and options.
    fn restart(&mut self) -> impl Future<Output = Result<(), StartError>> + Send;
}

/// A server that can be killed at any moment: a process of its own. Suites that kill require this trait, so they
/// never run on a server that shares the test's process.
pub trait Killable: Cluster {
    /// Process id; none while the server is down.
    fn pid(&self) -> Option<u32>;

    /// Kills the server, so that it can't write anything more. Returns when it has ended.
    fn kill9(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Starts a server that is down and ends it with [`Killable::kill9`] once it has logged `lines` lines, or when it
    /// is ready, whichever comes first.
    fn restart_and_kill9_after(
        &mut self,
        lines: usize,
    ) -> impl Future<Output = Result<(), StartError>> + Send;
}
