//! Log lines in etcd's form, written by everything that uses `tracing`.
//!
//! An event becomes one line. Its fields keep their names (`"local-member-id" = %id` needs quotes in the macro),
//! their order and their types: numbers and booleans stay what they are, everything else is text. Four kinds of
//! fields are special:
//!
//! | field | becomes |
//! |---|---|
//! | `level = "fatal"` (also `panic`, `dpanic`) | the line's level, for the levels that tracing lacks |
//! | `logger = "raft"` | the logger's name in the line's head |
//! | `"urls[]" = ?urls` | the field `urls` with the value as JSON, if it is JSON; lists of texts and numbers are |
//! | `"{}" = %json` | the members of a JSON object, each as a field of its own |
//!
//! Spans are not shown. Crates that are not ferretcd's are logged from warnings on.
//!
//! * [`start`]: installs the logger for the process; with the [`LevelHandle`] its level can be changed.
//! * [`LogOptions`]: level, [`Format`] and [`Output`]s.
//! * [`AuditLog`]: lines of another kind, with an output and a thread of their own.
//!
//! ```
//! use ferretcd_logging::{LogOptions, Output, start};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("etcd.log");
//! let options = LogOptions { outputs: vec![Output::File(path.clone())], ..LogOptions::default() };
//! start(&options, || panic!("the journal is no output"))?;
//! let urls = ["http://h:1"];
//! tracing::warn!("urls[]" = ?urls, "ready");
//! assert!(std::fs::read_to_string(path)?.ends_with("\"msg\":\"ready\",\"urls\":[\"http://h:1\"]}\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod setup;

mod level;
mod options;

mod fields;
mod layer;
mod sampler;
mod time;

mod audit;
mod journal;
mod rotation;
mod sink;

pub use audit::AuditLog;
pub use level::Severity;
pub use options::{Format, LogOptions, OpenError, Output, Rotation};
pub use setup::{LevelHandle, start};
