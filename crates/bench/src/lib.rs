//! `cargo xtask bench`: the same load on ferretcd and on etcd.
//!
//! Both run with default settings on the same disk, in turn; every number is a median over rounds. With two
//! cores each server has one for itself and the load generator the other, so that rates are per core.
//!
//! `workload` says what is measured and `requests` which requests that takes, `load` sends them, `watch`
//! watches, `lists` reads large lists, `server` runs a process, `session` measures one life of it, `report` compares.
//!
//! The load generator writes HTTP/2 and gRPC frames itself (`http2`), and requests of HTTP/1.1 (`http1`): it shares the
//! processor with the server that it measures, and a client library would cost more than the server does.

#![cfg(target_os = "linux")]

mod check;
mod http1;
mod http2;
mod lists;
mod load;
mod machine;
mod memory_group;
mod options;
mod order;
mod outcome;
mod process;
mod protobuf;
mod report;
mod requests;
mod result;
mod server;
mod session;
mod slow_disk;
mod socket;
mod stamp;
mod watch;
mod workload;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use indicatif::{ProgressBar, ProgressStyle};

use self::machine::Placement;
use self::memory_group::MemoryGroup;
use self::options::{Options, Product};
use self::outcome::{Outcome, pause};
use self::report::Look;
use self::result::{Cell, Metric, Results, Sample};
use self::session::{Round, Session};

/// Measures what the arguments name, and prints it.
pub fn run(words: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    if words.iter().any(|word| ["--help", "-h"].contains(word)) {
        return Ok(writeln!(std::io::stdout(), "{}", options::USAGE)?);
    }
    let mut options = Options::parse(words)?;
    skip_impossible(&mut options)?;
    let placement = Placement::new(options.pin)?;
    let programs: Vec<(Product, PathBuf)> = options
        .products
        .iter()
        .map(|product| Ok((*product, program(*product, &options)?)))
        .collect::<Outcome<_>>()?;
    let data_dir = options.data_dir.clone().unwrap_or_else(|| target_folder().join("bench"));
    std::fs::create_dir_all(&data_dir)?;
    let data_dir = tempfile::Builder::new().prefix("run-").tempdir_in(&data_dir)?;
    let setting = setting(&options, &placement, &programs, data_dir.path())?;

    placement.enter_generator()?;
    let results = measure(&options, &placement, &programs, data_dir.path())?;

    let look = match std::io::stdout().is_terminal() {
        _ if options.markdown => Look::Markdown,
        true => Look::Drawn,
        false => Look::Plain,
    };
    std::io::stdout().write_all(report::text(&results, &setting, look).as_bytes())?;
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", report::json(&results, &setting)))?;
    }
    if results.failures.is_empty() {
        Ok(())
    } else {
        Err("the run has failures; its numbers do not count".into())
    }
}

/// Leaves out what can't be measured on this machine, and says so.
fn skip_impossible(options: &mut Options) -> Outcome<()> {
    if options.workloads.iter().any(|workload| workload.slows_disk())
        && let Err(reason) = slow_disk::available()
    {
        options.workloads.retain(|workload| !workload.slows_disk());
        writeln!(std::io::stderr(), "skipped what needs a slow disk: {reason}")?;
    }
    if options.workloads.iter().any(|workload| workload.bounds_memory())
        && let Err(reason) = MemoryGroup::new(options.group_mib << 20)
    {
        options.workloads.retain(|workload| !workload.bounds_memory());
        writeln!(std::io::stderr(), "skipped what needs a bound on memory: {reason}")?;
    }
    Ok(())
}

/// Runs all sessions, servers alternating within each round. A session that fails does not end the run.
fn measure(
    options: &Options,
    placement: &Placement,
    programs: &[(Product, PathBuf)],
    data_dir: &Path,
) -> Outcome<Results> {
    let sessions = Session::plan(options);
    let n_samples: usize = sessions.iter().map(|session| session.rounds(options) * session.cells.len()).sum();
    let bar = ProgressBar::new((n_samples * programs.len()) as u64)
        .with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed_precise} {msg}")?);
    let mut results = Results { paced: options.open_loop.is_some(), ..Results::default() };
    for session in &sessions {
        for round in 1..=session.rounds(options) {
            for (product, program) in programs {
                let cell = session.cells[0];
                bar.set_message(format!("{} {}, round {round}", product.name(), cell.workload.name()));
                let outcome = session.run(options, program, data_dir, placement, |cell, round| {
                    announce(&bar, cell, *product, &round.sample);
                    take(&mut results, cell, *product, round);
                });
                if let Err(error) = outcome {
                    let product = product.name();
                    results
                        .failures
                        .push(format!("{product}, {}, round {round}: {error}", cell.workload.name()));
                }
            }
        }
    }
    bar.finish_and_clear();
    Ok(results)
}

fn take(results: &mut Results, cell: Cell, product: Product, round: Round) {
    if let Some(failure) = round.failure {
        let (product, workload) = (product.name(), cell.workload.name());
        results.failures.push(format!("{product}, {workload} with {} clients: {failure}", cell.clients));
    }
    results.samples.entry((cell, product)).or_default().push(round.sample);
}

/// One step further; where no bar can be drawn, one line.
fn announce(bar: &ProgressBar, cell: Cell, product: Product, sample: &Sample) {
    bar.inc(1);
    if bar.is_hidden() {
        let rates = [Metric::Events, Metric::Granted, Metric::Rate, Metric::Created];
        let rate = rates.iter().find_map(|metric| sample.get(metric));
        let result = rate.map_or_else(|| "done".to_owned(), |rate| format!("{rate:.0}/s"));
        let (product, workload, clients) = (product.name(), cell.workload.name(), cell.clients);
        // A closed stderr is no reason to end the run.
        let _ = writeln!(std::io::stderr(), "{workload} {clients} {product}: {result}");
    }
}

/// The binary to measure; builds ferretcd unless one is given.
fn program(product: Product, options: &Options) -> Outcome<PathBuf> {
    match product {
        Product::Etcd => Ok(options.etcd.clone()),
        Product::Ferretcd => match &options.ferretcd {
            Some(path) => Ok(path.clone()),
            None => build_ferretcd(),
        },
    }
}

fn build_ferretcd() -> Outcome<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "ferretcd-cli", "--bin", "ferretcd"])
        .current_dir(workspace_root())
        .status()?;
    if !status.success() {
        return Err("ferretcd does not build".into());
    }
    Ok(target_folder().join("release/ferretcd"))
}

fn workspace_root() -> PathBuf {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.ancestors().nth(2).expect("the crate is in a folder of the workspace").to_owned()
}

fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace_root().join("target"), PathBuf::from)
}

/// What was measured where, one line each.
fn setting(
    options: &Options,
    placement: &Placement,
    programs: &[(Product, PathBuf)],
    data_dir: &Path,
) -> Outcome<Vec<String>> {
    let mut lines = Vec::new();
    for (product, program) in programs {
        let output = Command::new(program).arg("--version").output();
        let output = output.map_err(|error| format!("{} does not start: {error}", program.display()))?;
        let version = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
        lines.push(format!("{}: {version}", product.name()));
    }
    let placed = if placement.is_pinned() {
        "the server has one for itself, the load generator the other"
    } else {
        "not pinned"
    };
    let processor = machine::processor().unwrap_or_else(|| "unknown processor".to_owned());
    lines.push(format!("{processor}, {} cores, {placed}", placement.n_cores()));
    let sync = machine::sync_time(data_dir)?;
    lines.push(format!("disk: {:.0} µs per append and fdatasync", sync.as_secs_f64() * 1e6));
    let pace = match options.open_loop {
        Some(rate) => format!("open loop, {rate} requests/s"),
        None => "closed loop".to_owned(),
    };
    lines.push(format!(
        "{pace}, {} s per load, {} rounds, clients on up to {} connections, values of {} bytes, reads from {} keys",
        options.window.as_secs_f64(),
        options.rounds,
        options.connections,
        options.value_bytes,
        options.keys,
    ));
    Ok(lines)
}
