//! Where settings come from: command line, environment and configuration file, over one table of flags.
//!
//! The command line is read here rather than by a library, because scripts and unit files written for etcd rely
//! on the syntax of Go's flag package (one or two dashes, booleans that take a value only behind `=`), and the
//! environment and the file are bound to the same table.

mod command_line;
mod environment;
mod file;
mod flag;
mod help;
mod hint;
mod settings;
mod table;
mod value;

pub use command_line::{Command, UsageError, parse_command_line};
pub(crate) use environment::read_environment;
pub(crate) use file::read_file;
pub use flag::{Flag, Section, Status};
pub use help::{help, usage};
pub use settings::Settings;
pub use table::FLAGS;
pub(crate) use value::Value;
pub use value::{Kind, ValueError};
