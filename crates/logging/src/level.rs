//! The levels of log lines.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;

/// How much a log line matters, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Details for the search of a fault.
    Debug,
    /// The normal course of things.
    Info,
    /// Something that may need attention.
    Warn,
    /// Needs the attention of an operator.
    Error,
    /// A broken invariant that can be survived.
    DPanic,
    /// A broken invariant.
    Panic,
    /// The process ends.
    Fatal,
}

/// A level that can change.
#[derive(Debug)]
pub(super) struct AtomicSeverity(AtomicU8);

impl AtomicSeverity {
    const ALL: [Severity; 7] = [
        Severity::Debug,
        Severity::Info,
        Severity::Warn,
        Severity::Error,
        Severity::DPanic,
        Severity::Panic,
        Severity::Fatal,
    ];

    pub(super) fn new(level: Severity) -> Self {
        Self(AtomicU8::new(level as u8))
    }

    pub(super) fn load(&self) -> Severity {
        Self::ALL[usize::from(self.0.load(Ordering::Relaxed))]
    }

    pub(super) fn store(&self, level: Severity) {
        self.0.store(level as u8, Ordering::Relaxed);
    }
}

impl Severity {
    /// The level of an event.
    pub(super) fn of(level: Level) -> Self {
        match level {
            Level::TRACE | Level::DEBUG => Self::Debug,
            Level::INFO => Self::Info,
            Level::WARN => Self::Warn,
            Level::ERROR => Self::Error,
        }
    }

    /// What tracing has to let through so that lines of this level arrive.
    pub(super) fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            _ => LevelFilter::ERROR,
        }
    }

    /// The name in log lines and flags.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::DPanic => "dpanic",
            Self::Panic => "panic",
            Self::Fatal => "fatal",
        }
    }

    /// The priority of syslog and the journal.
    pub(super) fn priority(self) -> u8 {
        match self {
            Self::Debug => 7,
            Self::Info => 6,
            Self::Warn => 4,
            Self::Error => 3,
            _ => 2,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = ();

    /// In any case; an empty text is `info`, and `warning` is `warn`.
    fn from_str(text: &str) -> Result<Self, ()> {
        match &*text.to_lowercase() {
            "debug" => Ok(Self::Debug),
            "info" | "" => Ok(Self::Info),
            "warn" | "warning" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            "dpanic" => Ok(Self::DPanic),
            "panic" => Ok(Self::Panic),
            "fatal" => Ok(Self::Fatal),
            _ => Err(()),
        }
    }
}
