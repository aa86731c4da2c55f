//! The project's own automation, run as `cargo xtask <task>`.

use std::io::Write as _;
use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod bench;
mod ci;
mod codegen;
mod tidy;
mod workspace;

use workspace::{TaskResult, workspace_root};

const USAGE: &str = "\
usage: cargo xtask <task>

tasks:
  bench [...]         the same load on ferretcd and etcd, compared (Linux); --help lists its options
  ci [--keep-going]   what has to pass before a push, apart from the tests: format, tidy, deny, clippy, docs
  codegen [--check]   generate the API's Rust code from proto/, or check that it is up to date
  tidy                check the rules that neither compiler nor lints know: layers, imports, manifests, sizes, words
  tidy --graph        show which crate depends on which, and the circles of imports among their files
  tidy --words        show the pronouns that hide which part of the system acts";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.split_first() {
        #[cfg(target_os = "linux")]
        Some((&"bench", options)) => return bench::run(options),
        Some((&"ci", options)) => ci::run(options),
        Some((&"codegen", options)) => codegen::run(options),
        Some((&"tidy", options)) => tidy::run(options),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With a closed stderr the exit code still reports the failure.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
