//! What signals do: as under Go's runtime, but for SIGHUP, which ends a process there.
//!
//! | signal | until the member serves clients | then |
//! |---|---|---|
//! | SIGINT, SIGTERM | ends the process at once | begins an orderly shutdown, after which the process ends by it |
//! | SIGHUP | nothing at first; once the data directory is open, it is remembered | has the configuration file be read again |
//! | those of [`IGNORED`] | nothing | nothing |
//! | any other | its default action | its default action |
//!
//! A start may read a long log, or wait for a lock, a name service or other members; ended at once, it leaves what a
//! crash leaves, and the next start goes on from there. During a shutdown further SIGINT and SIGTERM are ignored.
//!
//! The kernel spares the process with the id 1 from default actions, so there a start exits with the status 2, and an
//! orderly shutdown with 0.

use std::fmt;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGPROF, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
};
use signal_hook::flag;
use tokio::signal::unix::{Signal, SignalKind, signal};

const SIGPWR: i32 = 30;
/// Signals that would end the process by default. Log rotation sends SIGUSR1; instead of SIGPIPE and SIGXFSZ a write
/// fails.
const IGNORED: [i32; 10] =
    [SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO, SIGPWR];
/// Realtime signals, without those that C libraries keep for themselves. Go ignores these as well.
const REALTIME: std::ops::RangeInclusive<i32> = 35..=64;
/// The exit status of the process with the id 1 when a signal ends its start; Go's.
const STATUS_OF_INIT: i32 = 2;

/// Signals while the member starts: SIGINT and SIGTERM end the process at once, whatever its threads do.
#[derive(Debug)]
pub(crate) struct StartSignals {
    is_starting: Arc<AtomicBool>,
}

impl StartSignals {
    /// To be called first of all.
    pub(crate) fn install() -> io::Result<Self> {
        let unused = Arc::new(AtomicBool::new(false));
        for number in IGNORED.into_iter().chain(REALTIME).chain([SIGHUP]) {
            // A handler of its own instead of "ignore", which programs that a process runs would inherit.
            flag::register(number, Arc::clone(&unused))?;
        }
        let is_starting = Arc::new(AtomicBool::new(true));
        for number in [SIGINT, SIGTERM] {
            let condition = Arc::clone(&is_starting);
            if is_init() {
                flag::register_conditional_shutdown(number, STATUS_OF_INIT, condition)?;
            } else {
                flag::register_conditional_default(number, condition)?;
            }
        }
        Ok(Self { is_starting })
    }

    /// From now on SIGINT and SIGTERM are received. Has to be called in a tokio runtime.
    pub(crate) fn receive(self) -> io::Result<ShutdownSignals> {
        let signals = ShutdownSignals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        };
        self.is_starting.store(false, Ordering::SeqCst);
        Ok(signals)
    }
}

/// SIGHUP. Several that come together count as one.
#[derive(Debug)]
pub(crate) struct ReloadSignal(Signal);

impl ReloadSignal {
    /// From now on SIGHUP is remembered. Has to be called in a tokio runtime.
    pub(crate) fn receive() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next. May be dropped and called again without losing one.
    pub(crate) async fn recv(&mut self) {
        if self.0.recv().await.is_none() {
            // There is none any more, which does not happen.
            std::future::pending::<()>().await;
        }
    }
}

/// SIGINT and SIGTERM, until the end of the process, even when dropped.
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

    /// Ends the process by this signal; to be called when everything is closed. Returns only in the process with the id
    /// 1: an orderly shutdown of a container is a success.
    pub(crate) fn end_process(self) -> ExitCode {
        if is_init() {
            return ExitCode::SUCCESS;
        }
        self.raise();
        // Not reached unless the system returns an error. The status is the one that a shell would show.
        ExitCode::from(128 + self.number() as u8)
    }

    /// Ends the process by this signal as long as nothing has to be closed, as [`StartSignals`] do.
    pub(crate) fn end_start(self) -> ! {
        if !is_init() {
            self.raise();
        }
        std::process::exit(STATUS_OF_INIT)
    }

    fn raise(self) {
        let _ = signal_hook::low_level::emulate_default_handler(self.number());
    }

    fn number(self) -> i32 {
        match self {
            Self::Interrupt => SIGINT,
            Self::Terminate => SIGTERM,
        }
    }
}

/// Whether the process is the first of its container or machine.
fn is_init() -> bool {
    std::process::id() == 1
}

/// The name in log lines.
impl fmt::Display for ExitSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
