//! The tool for the files of a member that is down: restores snapshots, and leaves a data directory to etcd.
//!
//! Its commands are those of etcdutl where that has them. `args` says what they take; each has a module.

mod args;
mod migrate;
mod progress;
mod restore;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use self::args::{Args, Command, Snapshot};

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Snapshot(Snapshot::Restore(args)) => restore::run(&args).map_err(|error| error.to_string()),
        Command::Migrate(args) => migrate::run(&args).map_err(|error| error.to_string()),
        Command::Version => {
            let version = ferretcd_api_proto::API_VERSION;
            let api = version.rsplit_once('.').map_or(version, |(api, _)| api);
            let own = env!("CARGO_PKG_VERSION");
            say(&format_args!("etcdutl version: {version}\nAPI version: {api}\nferretutl version: {own}"));
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done if the standard error is closed.
            let _ = writeln!(io::stderr(), "Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to the standard output.
fn say(line: &impl Display) {
    // What was done is done, even if the standard output is closed.
    let _ = writeln!(io::stdout(), "{line}");
}
