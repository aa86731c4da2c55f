//! The body of the program `ferretcd`: from a command line to a running member.
//!
//! A command line ([`parse_command_line`](ferretcd_flags::parse_command_line)) gives the settings of some flags; environment or configuration file add
//! theirs, and [`configure`] makes of them a checked [`config::Config`]. [`server::run`] reads nothing else: this
//! crate alone knows flags, variables and files, and all defaults are in the flag table
//! ([`FLAGS`](ferretcd_flags::FLAGS)). [`lifecycle`] has what a process needs around a server.
//!
//! Invariants: a flag of etcd's is never refused for being unknown, and one that has no effect here says so in
//! the log when it is set; texts that scripts may look for are etcd's; the text of a URL is never changed, because
//! member ids are made of it.
//!
//! ```
//! use ferretcd_flags::{Command, parse_command_line};
//!
//! let args = ["--name", "a", "-max-txn-ops=64", "--pre-vote=false"];
//! match parse_command_line(args.map(Into::into))? {
//!     Command::Run(settings, None) => assert!(settings.is_set("name") && !settings.is_set("data-dir")),
//!     other => panic!("{other:?}"),
//! }
//! # Ok::<(), ferretcd_flags::UsageError>(())
//! ```

pub mod config;
pub mod lifecycle;
pub mod server;

mod configure;
mod error;
mod founders;
mod join;
mod listeners;
mod notice;
mod peers;
mod secure;
mod start_line;
mod version;

pub use configure::configure;
pub use error::ConfigError;
pub use start_line::log_start;
pub use version::version;
