//! The project's own automation, run as `cargo xtask <task>`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[cfg(target_os = "linux")]
mod bench;
mod ci;
mod codegen;
mod tidy;

/// What a task ends with; the error is printed and becomes exit code 1.
type TaskResult = Result<(), Box<dyn std::error::Error>>;

const USAGE: &str = "\
usage: cargo xtask <task>

tasks:
  bench [...]         the same load on ferretcd and etcd, compared (Linux); --help lists its options
  ci [--keep-going]   what has to pass before a push, apart from the tests: format, tidy, deny, clippy, docs
  codegen [--check]   generate the API's Rust code from proto/, or check that it is up to date
  tidy                check the rules that neither compiler nor lints know: layers, manifests, sizes, wording";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.split_first() {
        #[cfg(target_os = "linux")]
        Some((&"bench", options)) => bench::run(options),
        Some((&"ci", options)) => ci::run(options),
        Some((&"codegen", options)) => codegen::run(options),
        Some((&"tidy", options)) => tidy::run(options),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed stderr leaves nobody to tell; the exit code still says it.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn workspace_root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().expect("xtask is a folder of the workspace").to_owned()
}
