//! The ferretcd server program.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use ferretcd_cli::{configure, server, version};
use ferretcd_flags::{Command, help, parse_command_line, usage};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let program = program_name(&args);
    let (settings, leftover) = match parse_command_line(args.iter().skip(1).cloned()) {
        Ok(Command::Run(settings, leftover)) => (settings, leftover),
        Ok(Command::Help) => return print(&help(&program)),
        Ok(Command::Version) => return print(&version()),
        Err(error) => {
            // Nothing can be done if the standard error is closed.
            let _ = write!(std::io::stderr(), "{error}\n{}", usage(&program));
            return ExitCode::from(2);
        }
    };
    let args: Vec<String> = args.iter().map(lossy).collect();
    let variables = std::env::vars_os().map(|(name, value)| (lossy(&name), lossy(&value))).collect();
    match configure(&args, settings, leftover, &variables) {
        Ok(config) => server::run(config),
        Err(status) => status,
    }
}

/// The name the program was called by: it may be installed as `etcd`.
fn program_name(args: &[OsString]) -> String {
    let name = args.first().and_then(|path| Path::new(path).file_name());
    name.unwrap_or(OsStr::new("ferretcd")).to_string_lossy().into_owned()
}

fn lossy(text: &OsString) -> String {
    text.to_string_lossy().into_owned()
}

/// Prints to the standard output. Whoever closed it has read enough.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
