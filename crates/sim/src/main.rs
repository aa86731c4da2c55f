//! Runs clusters from seeds, many on request. A failure prints the command that repeats it.

use std::cell::Cell;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ferretcd_sim::{Options, Profile, Report, Trace, run};
use indicatif::{ProgressBar, ProgressStyle};

thread_local! {
    /// What this thread runs, for the report of a panic: nothing is caught in a release build.
    static RUNNING: Cell<Option<(u64, &'static str)>> = const { Cell::new(None) };
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => return fail(&error.to_string()),
    };
    report_panics();
    match run_all(&options) {
        Ok(report) => {
            let n_seeds = options.seeds.end - options.seeds.start;
            let _ = writeln!(std::io::stdout(), "{n_seeds} seeds, nothing is wrong\n{report:#?}");
            ExitCode::SUCCESS
        }
        Err(found) => fail(&found),
    }
}

fn fail(text: &str) -> ExitCode {
    // With a closed stderr only the exit code shows the failure.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}

/// The command that repeats a run.
fn command(seed: u64, profile: &str) -> String {
    format!("cargo run -p ferretcd-sim --release -- --seed {seed} --profile {profile} --trace")
}

fn report_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        if let Some((seed, profile)) = RUNNING.get() {
            fail(&format!("again: {}", command(seed, profile)));
        }
    }));
}

/// Runs the seeds on as many threads as requested, each seed on one of them. Ends with the first that goes wrong.
fn run_all(options: &Options) -> Result<Report, String> {
    let next = AtomicU64::new(options.seeds.start);
    let sum = Mutex::new(Ok(Report::default()));
    let bar = if options.traces { ProgressBar::hidden() } else { progress(options) };
    std::thread::scope(|scope| {
        for _ in 0..options.n_threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= options.seeds.end {
                        return;
                    }
                    let result = run_one(seed, options);
                    bar.inc(1);
                    let Ok(mut sum) = sum.lock() else { return };
                    *sum = match (std::mem::replace(&mut *sum, Ok(Report::default())), result) {
                        (Ok(before), Ok(report)) => Ok(before.plus(report)),
                        (Err(found), _) | (_, Err(found)) => {
                            next.store(options.seeds.end, Ordering::Relaxed);
                            Err(found)
                        }
                    };
                }
            });
        }
    });
    bar.finish_and_clear();
    sum.into_inner().unwrap_or_else(|_| Err("a run panicked".to_owned()))
}

fn run_one(seed: u64, options: &Options) -> Result<Report, String> {
    let profile = options.profile.unwrap_or_else(|| Profile::of_seed(seed));
    RUNNING.set(Some((seed, profile.name)));
    let trace = if options.traces { Trace::printed() } else { Trace::silent() };
    let result = run(seed, profile, None, trace);
    RUNNING.set(None);
    result.map_err(|violation| {
        format!("seed {seed}: failed to {violation}\nagain: {}", command(seed, profile.name))
    })
}

/// Shown on a terminal only.
fn progress(options: &Options) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(options.seeds.end - options.seeds.start).with_style(style)
}
