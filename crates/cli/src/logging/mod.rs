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

mod fields;
mod journal;
mod layer;
mod level;
mod options;
mod sampler;
mod setup;
mod sink;
mod time;

pub use level::Severity;
pub use options::{Format, LogOptions, Output};
pub(crate) use setup::start;
