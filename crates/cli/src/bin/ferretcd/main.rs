//! The ferretcd server program: what a process does around a server of `ferretcd-embed`.
//!
//! A command line gives the settings of some flags; environment or configuration file add theirs, and `configure` makes
//! of them a checked configuration. `run` reads nothing else. `lifecycle` has what a process needs around a server:
//! limits, signals, readiness. `reload` reads the configuration file once more when a signal says so.
//!
//! Invariants: a flag of etcd's is never rejected as unknown, and one that has no effect here is logged when it is set;
//! texts that scripts may look for are etcd's.

mod audit;
mod configure;
mod reload;
mod run;

mod config;
mod diagnostic;
mod error;
mod features;

mod lifecycle;
mod spans;
mod start_line;
mod version;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use ferretcd_flags::{Command, help, parse_command_line, usage};

use lifecycle::StartSignals;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let signals = match StartSignals::install() {
        Ok(signals) => signals,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "failed to catch signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let args: Vec<OsString> = std::env::args_os().collect();
    let program = program_name(&args);
    let (settings, leftover) = match parse_command_line(args.iter().skip(1).cloned()) {
        Ok(Command::Run(settings, leftover)) => (settings, leftover),
        Ok(Command::Help) => return print(&help(&program)),
        Ok(Command::Version) => return print(&version::version()),
        Err(error) => {
            // Nothing can be done if the standard error is closed.
            let _ = write!(std::io::stderr(), "{error}\n{}", usage(&program));
            return ExitCode::from(2);
        }
    };
    let args: Vec<String> = args.iter().map(lossy).collect();
    let variables = std::env::vars_os().map(|(name, value)| (lossy(&name), lossy(&value))).collect();
    match configure::configure(&args, settings, leftover, &variables) {
        Ok((config, level)) => run::run(config, level, signals),
        Err(status) => status,
    }
}

/// The name that the program was called by: it may be installed as `etcd`.
fn program_name(args: &[OsString]) -> String {
    let name = args.first().and_then(|path| Path::new(path).file_name());
    name.unwrap_or(OsStr::new("ferretcd")).to_string_lossy().into_owned()
}

fn lossy(text: &OsString) -> String {
    text.to_string_lossy().into_owned()
}

/// Prints to the standard output. A reader may close it before the end.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
