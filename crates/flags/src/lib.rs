//! The flags of the server program, and the three places that set them: command line, environment and configuration
//! file, all over one table.
//!
//! The command line is read here rather than by a library, because scripts and unit files written for etcd rely
//! on the syntax of Go's flag package (one or two dashes, booleans that take a value only behind `=`), and the
//! environment and the file are bound to the same table. The crate gives values; what they mean to a server it does
//! not know.
//!
//! * [`FLAGS`]: the table, of [`Flag`]s; [`help`] and [`usage`] are read off it.
//! * [`parse_command_line`]: a [`Command`]; with settings, if the server is to run.
//! * [`load`]: adds the environment, or replaces everything by the configuration file, which [`reload`] reads again.
//! * [`Settings`]: the values that were set, [`FeatureGates`] among them.
//! * [`Nanos`], [`go_duration`], [`parse_bool`]: Go's notation.
//!
//! Invariants: a flag of etcd's is never rejected as unknown; texts that scripts may look for are etcd's; the text of
//! a URL is never changed, because member ids are made of it.
//!
//! ```
//! use ferretcd_flags::{Command, parse_command_line};
//!
//! let args = ["--name", "a", "-max-txn-ops=64", "--pre-vote=false"];
//! match parse_command_line(args.map(Into::into))? {
//!     Command::Run(settings, None) => {
//!         assert_eq!((settings.text("name"), settings.uint("max-txn-ops")), ("a".to_owned(), 64));
//!         assert!(!settings.is_set("data-dir"));
//!     }
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), ferretcd_flags::UsageError>(())
//! ```

mod flag;
mod gates;
mod table;
mod value;

mod command_line;
mod environment;
mod file;
mod file_value;
mod load;
mod settings;

mod diagnostic;
mod error;
mod go;
mod help;
mod redact;
mod suggestion;
mod yaml;

pub use command_line::{Command, UsageError, parse_command_line};
pub use diagnostic::SourceDiagnostic;
pub use error::LoadError;
pub use flag::{Flag, Section, Status};
pub use gates::{FeatureGates, GATES, Gate, GateError, Stage};
pub use go::{DurationError, Nanos, ScalarError, go_duration, parse_bool};
pub use help::{help, usage};
pub use load::{load, reload};
pub use redact::{redact, redact_args};
pub use settings::Settings;
pub use table::FLAGS;
pub(crate) use value::Value;
pub use value::{Kind, ValueError};
pub use yaml::YamlError;
