//! Stopping by a signal.
//!
//! The first SIGINT or SIGTERM starts an orderly shutdown; when that is done, the process ends by the same signal
//! with its default action, so that its parent sees what ended it. Further ones are ignored: a shutdown in progress
//! goes on. All other signals keep their default action.

use std::fmt;
use std::io;
use std::process::ExitCode;

use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Catches SIGINT and SIGTERM from its creation until the end of the process, even when dropped.
#[derive(Debug)]
pub(crate) struct ShutdownSignals {
    interrupt: Signal,
    terminate: Signal,
}

/// The signal that ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitSignal {
    /// SIGINT, as of Ctrl-C.
    Interrupt,
    /// SIGTERM, as of a supervisor.
    Terminate,
}

impl ShutdownSignals {
    /// Starts catching. Has to be called in a tokio runtime.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next of the two signals. May be dropped and called again without losing one.
    pub(crate) async fn recv(&mut self) -> ExitSignal {
        tokio::select! {
            _ = self.interrupt.recv() => ExitSignal::Interrupt,
            _ = self.terminate.recv() => ExitSignal::Terminate,
        }
    }
}

impl ExitSignal {
    /// The name in log lines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupt",
            Self::Terminate => "terminated",
        }
    }

    /// Ends the process by this signal; to be called when everything is closed.
    ///
    /// Returns only in a process with the id 1, which the kernel spares from default actions: an orderly shutdown of
    /// a container is a success.
    pub(crate) fn end_process(self) -> ExitCode {
        if std::process::id() == 1 {
            return ExitCode::SUCCESS;
        }
        let number = match self {
            Self::Interrupt => SIGINT,
            Self::Terminate => SIGTERM,
        };
        let _ = signal_hook::low_level::emulate_default_handler(number);
        // Not reached unless the system returns an error. The status is the one that a shell would show.
        ExitCode::from(128 + number as u8)
    }
}

/// The name in log lines.
impl fmt::Display for ExitSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "interrupt",
            Self::Terminate => "terminated",
        })
    }
}
