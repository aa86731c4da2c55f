//! `cargo xtask ci`: what has to pass before a change is pushed, apart from the tests.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use crate::{TaskResult, tidy, workspace_root};

/// One line of the table: a name and what is run.
struct Step {
    name: &'static str,
    action: Action,
}

enum Action {
    /// Cargo with these arguments, its environment extended by the variable.
    Cargo {
        args: &'static [&'static str],
        variable: Option<(&'static str, &'static str)>,
    },
    /// Cargo, too, but only where this program is in PATH, which comes neither with cargo nor as a dependency.
    Extra {
        needs: &'static str,
        args: &'static [&'static str],
        install: &'static str,
    },
    Tidy,
}

/// The quick ones first: they fail most often.
const STEPS: &[Step] = &[
    Step { name: "format", action: Action::Cargo { args: &["fmt", "--all", "--check"], variable: None } },
    Step {
        name: "format of etcd-client's suite",
        action: Action::Cargo {
            args: &["fmt", "--manifest-path", "tests/interop/rust/Cargo.toml", "--check"],
            variable: None,
        },
    },
    Step { name: "tidy", action: Action::Tidy },
    Step {
        name: "deny",
        action: Action::Extra {
            needs: "cargo-deny",
            args: &["deny", "--locked", "check", "bans", "licenses", "sources"],
            install: "cargo install cargo-deny --locked",
        },
    },
    Step {
        name: "clippy",
        action: Action::Cargo {
            args: &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
            variable: None,
        },
    },
    Step {
        name: "docs",
        action: Action::Cargo {
            args: &["doc", "--workspace", "--no-deps", "--locked"],
            variable: Some(("RUSTDOCFLAGS", "-D warnings")),
        },
    },
    Step {
        name: "deny of etcd-client's suite",
        action: Action::Extra {
            needs: "cargo-deny",
            args: &[
                "deny",
                "--locked",
                "--manifest-path",
                "tests/interop/rust/Cargo.toml",
                "--config",
                "deny.toml",
                "check",
                "licenses",
                "sources",
            ],
            install: "cargo install cargo-deny --locked",
        },
    },
    Step {
        name: "clippy of etcd-client's suite",
        action: Action::Extra {
            needs: "protoc",
            args: &[
                "clippy",
                "--locked",
                "--manifest-path",
                "tests/interop/rust/Cargo.toml",
                "--target-dir",
                "target/interop/rust",
                "--",
                "-D",
                "warnings",
            ],
            install: "apt-get install protobuf-compiler libprotobuf-dev",
        },
    },
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Passed,
    Failed,
    /// Its program is not installed.
    Skipped,
}

/// A step that was run, and how long it took.
type Row = (&'static str, Verdict, Duration);

/// Runs the steps up to the first that fails, or all of them with `--keep-going`.
pub(crate) fn run(options: &[&str]) -> TaskResult {
    let keep_going = match options {
        [] => false,
        ["--keep-going"] => true,
        _ => return Err("usage: cargo xtask ci [--keep-going]".into()),
    };
    let rows = run_steps(STEPS, keep_going, perform)?;
    writeln!(std::io::stdout(), "\n{}", table(&rows))?;
    if rows.iter().any(|(_, verdict, _)| *verdict == Verdict::Failed) {
        return Err("ci: failed".into());
    }
    Ok(())
}

fn run_steps(
    steps: &'static [Step],
    keep_going: bool,
    mut perform: impl FnMut(&Step) -> std::io::Result<Verdict>,
) -> std::io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for step in steps {
        let start = Instant::now();
        let verdict = perform(step)?;
        rows.push((step.name, verdict, start.elapsed()));
        if verdict == Verdict::Failed && !keep_going {
            break;
        }
    }
    Ok(rows)
}

fn perform(step: &Step) -> std::io::Result<Verdict> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "\n==> {}: {}", step.name, step.action.command_line())?;
    match &step.action {
        Action::Cargo { args, variable } => succeeds(cargo(args).envs(*variable)),
        Action::Extra { needs, args, install } => {
            if !in_path(needs) {
                writeln!(stdout, "skipped, {needs} is not installed: {install}")?;
                return Ok(Verdict::Skipped);
            }
            succeeds(&mut cargo(args))
        }
        Action::Tidy => match tidy::run(&[]) {
            Ok(()) => Ok(Verdict::Passed),
            Err(error) => {
                writeln!(stdout, "{error}")?;
                Ok(Verdict::Failed)
            }
        },
    }
}

fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.args(args).current_dir(workspace_root());
    cargo
}

fn in_path(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|dir| dir.join(program).is_file())
}

fn succeeds(command: &mut Command) -> std::io::Result<Verdict> {
    Ok(if command.status()?.success() { Verdict::Passed } else { Verdict::Failed })
}

impl Action {
    /// The command line that runs this step alone.
    fn command_line(&self) -> String {
        match self {
            Self::Cargo { args, variable: Some((name, value)) } => {
                format!("{name}=\"{value}\" cargo {}", args.join(" "))
            }
            Self::Cargo { args, .. } | Self::Extra { args, .. } => format!("cargo {}", args.join(" ")),
            Self::Tidy => "cargo xtask tidy".to_owned(),
        }
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(["step", "result", "seconds"]);
    for (name, verdict, time) in rows {
        let result = match verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
        };
        table.add_row([(*name).to_owned(), result.to_owned(), format!("{:.1}", time.as_secs_f64())]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keep_going: bool, expected: &[(&str, Verdict)]) {
        const STEPS: &[Step] = &[
            Step { name: "skipped", action: Action::Tidy },
            Step { name: "bad", action: Action::Tidy },
            Step { name: "good", action: Action::Tidy },
        ];
        let verdict = |step: &Step| match step.name {
            "skipped" => Verdict::Skipped,
            "bad" => Verdict::Failed,
            _ => Verdict::Passed,
        };
        let rows = run_steps(STEPS, keep_going, |step| Ok(verdict(step))).unwrap();
        let verdicts: Vec<_> = rows.iter().map(|(name, verdict, _)| (*name, *verdict)).collect();
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn ends_at_the_first_failure_by_default() {
        check(false, &[("skipped", Verdict::Skipped), ("bad", Verdict::Failed)]);
        check(true, &[("skipped", Verdict::Skipped), ("bad", Verdict::Failed), ("good", Verdict::Passed)]);
    }

    #[test]
    fn steps_can_be_repeated_by_hand() {
        let lines: Vec<String> = STEPS.iter().map(|step| step.action.command_line()).collect();
        assert_eq!(lines[0], "cargo fmt --all --check");
        assert_eq!(lines[5], "RUSTDOCFLAGS=\"-D warnings\" cargo doc --workspace --no-deps --locked");
    }

    #[test]
    fn unknown_options_are_rejected() {
        assert!(run(&["--fast"]).is_err());
    }
}
