//! How and where to log.

use std::io;
use std::path::PathBuf;

use crate::Severity;

/// How and where to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// The least important lines to write.
    pub level: Severity,
    /// The form of a line.
    pub format: Format,
    /// Where each line is written. Not empty.
    pub outputs: Vec<Output>,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object.
    Json,
    /// Text between tabs, with the fields as JSON behind it.
    Console,
}

/// A place for log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The standard error.
    Stderr,
    /// The standard output.
    Stdout,
    /// The systemd journal.
    Journal,
    /// The end of a file.
    File(PathBuf),
}

impl Default for LogOptions {
    /// What is in force until the flags are known: JSON from `info` on, to the standard error.
    fn default() -> Self {
        Self { level: Severity::Info, format: Format::Json, outputs: vec![Output::Stderr] }
    }
}

/// The value of `--log-outputs`, which has names for all but files.
impl From<String> for Output {
    fn from(text: String) -> Self {
        match &*text {
            "default" | "stderr" => Self::Stderr,
            "stdout" => Self::Stdout,
            "systemd/journal" => Self::Journal,
            _ => Self::File(text.into()),
        }
    }
}

/// A log file can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("open log output {path:?}: {source}")]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}
