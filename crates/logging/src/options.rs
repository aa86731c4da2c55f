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
    /// When files among the outputs begin anew; `None` for never.
    pub rotation: Option<Rotation>,
}

/// When a log file begins anew, and what becomes of the ones before. They stand beside it, with the time of the change in
/// their names: `etcd.log` becomes `etcd-2026-01-31T23-59-59.000.log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The size that a file does not exceed, in bytes. A line alone may.
    pub bytes_max: u64,
    /// Days that older files are kept for; `None` for ever.
    pub days_max: Option<u32>,
    /// How many older files are kept; `None` for all.
    pub files_max: Option<usize>,
    /// Whether their names have the local time, rather than UTC.
    pub local_time: bool,
    /// Whether they are compressed with gzip.
    pub compress: bool,
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
        Self { level: Severity::Info, format: Format::Json, outputs: vec![Output::Stderr], rotation: None }
    }
}

/// The value of `--log-outputs`, which has names for all but files; these are paths or URLs without a host.
impl From<String> for Output {
    fn from(text: String) -> Self {
        match &*text {
            "default" | "stderr" => Self::Stderr,
            "stdout" => Self::Stdout,
            "systemd/journal" => Self::Journal,
            _ => {
                let path = text.strip_prefix("file://localhost/").or_else(|| text.strip_prefix("file:///"));
                Self::File(path.map_or_else(|| text.clone().into(), |path| format!("/{path}").into()))
            }
        }
    }
}

/// A log file can't be opened. The text is etcd's.
#[derive(Debug, thiserror::Error)]
#[error("open sink {path:?}: open {}: {}", path.display(), go_text(source))]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The text of an error of the system as Go has it: in small letters, without the number.
fn go_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
