//! One life of a server and the loads that are put on it.

use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::Outcome;
use super::check::State;
use super::load::{Load, Mark, Pace, Seen, Span};
use super::machine::{Placement, busy, disk_bytes};
use super::options::Options;
use super::process::{Memory, Usage};
use super::result::{Cell, Metric, Sample};
use super::server::Server;
use super::workload::{Requests, Workload};

/// Load before the window, so that connections, caches and the server's heap are warm.
const WARM_UP: Duration = Duration::from_millis(500);
/// Outstanding requests while keys are loaded.
const LOADING_CLIENTS: usize = 64;
const MIB: f64 = 1_048_576.0;

/// Loads for one server, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Session {
    pub(super) cells: Vec<Cell>,
}

impl Session {
    /// Splits a run into sessions. Reads share a store; each load that writes gets an empty one, or the faster
    /// server would have to carry more data than the slower one.
    pub(super) fn plan(options: &Options) -> Vec<Self> {
        let loads = |workload: &Workload| {
            let workload = *workload;
            options.clients.iter().map(move |clients| Cell { workload, clients: *clients })
        };
        let (reads, rest): (Vec<Workload>, Vec<Workload>) =
            options.workloads.iter().partition(|workload| workload.reads_only());
        let (memory, writes): (Vec<Workload>, Vec<Workload>) =
            rest.into_iter().partition(|workload| *workload == Workload::Memory);

        let mut sessions: Vec<Self> =
            writes.iter().flat_map(loads).map(|cell| Self { cells: vec![cell] }).collect();
        if !reads.is_empty() {
            sessions.push(Self { cells: reads.iter().flat_map(loads).collect() });
        }
        if let Some(workload) = memory.first() {
            sessions.push(Self { cells: vec![Cell { workload: *workload, clients: LOADING_CLIENTS }] });
        }
        sessions
    }

    /// How often it is worth repeating; what memory it takes does not vary.
    pub(super) fn rounds(&self, options: &Options) -> usize {
        if self.cells[0].workload == Workload::Memory { 1 } else { options.rounds }
    }

    /// Runs the loads on a fresh server and gives what came of each to `on_round`.
    pub(super) fn run(
        &self,
        options: &Options,
        program: &Path,
        data_dir: &Path,
        placement: &Placement,
        mut on_round: impl FnMut(Cell, Round),
    ) -> Outcome<()> {
        let mut server = Server::start(program, data_dir, placement)?;
        let result = self.cells.iter().try_for_each(|cell| {
            if cell.workload == Workload::Memory {
                on_round(*cell, measure_memory(&mut server, options)?);
                return Ok(());
            }
            if cell.workload.reads_only() && State::of(server.address())?.keys == 0 {
                load_keys(&server, options.keys, options)?;
                // Reads find a store that was opened, not one that was just written: etcd 3.4 would copy its
                // buffer of recent writes for each of them, which more than doubles their cost.
                server.crash_and_restart()?;
            }
            on_round(*cell, measure(&server, *cell, options)?);
            Ok(())
        });
        result.map_err(|error: Box<dyn std::error::Error>| match server.last_words() {
            words if words.is_empty() => error,
            words => format!("{error}; the server's last words:\n{words}").into(),
        })
    }
}

/// What came of one load.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) sample: Sample,
    /// What went wrong, if anything did.
    pub(super) failure: Option<String>,
}

/// Puts one load on the server and looks at it from all sides.
fn measure(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let pid = server.pid();
    let before = State::of(server.address())?;
    Usage::when_settled(pid)?;
    Memory::forget_peak(pid);

    let load = Load {
        clients: cell.clients,
        connections: options.connections,
        pace: options.open_loop.map_or(Pace::Closed, Pace::Open),
        span: Span::Time { warm_up: WARM_UP, window: options.window },
    };
    let mut requests = cell.workload.requests(options.keys, options.value_bytes);
    let mut marks = Vec::with_capacity(2);
    let seen = load.run(server.address(), &mut requests, |mark| {
        debug_assert_eq!(mark == Mark::Begin, marks.is_empty());
        marks.push((Usage::of(pid)?, own_cpu(), busy()?));
        Ok(())
    })?;
    let [(begin, own_begin, busy_begin), (end, own_end, busy_end)] = marks[..] else {
        unreachable!("a load has two marks")
    };
    let settled = Usage::when_settled(pid)?;
    let memory = Memory::of(pid)?;
    check(before, State::of(server.address())?, cell.workload, &seen)?;

    let answered = seen.answered_in_window.max(1) as f64;
    let server_cpu = (end.cpu - begin.cpu).as_secs_f64();
    let own_cpu = (own_end - own_begin).as_secs_f64();
    let others = (busy_end - busy_begin).as_secs_f64() - server_cpu - own_cpu;
    let mut sample = latencies(&seen);
    sample.extend([
        (Metric::Rate, seen.answered_in_window as f64 / seen.window.as_secs_f64()),
        (Metric::ServerCpu, server_cpu * 1e6 / answered),
        (Metric::GeneratorCpu, own_cpu * 1e6 / answered),
        (
            Metric::Written,
            (settled.written_bytes - begin.written_bytes) as f64
                / 1.024
                / seen.answered_since_window.max(1) as f64,
        ),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Others, others.max(0.0) * 100.0 / seen.window.as_secs_f64()),
        (Metric::Failed, (seen.failed + seen.unsent) as f64),
    ]);
    Ok(Round { sample, failure: seen.failure() })
}

/// Loads many keys, one request each, then crashes the server and starts it again.
fn measure_memory(server: &mut Server, options: &Options) -> Outcome<Round> {
    let keys = options.memory_keys;
    let empty = Memory::of(server.pid())?;
    let seen = load_keys(server, keys, options)?;
    Usage::when_settled(server.pid())?;
    let memory = Memory::of(server.pid())?;
    let disk = disk_bytes(&server.data_dir())?;
    let before = State::of(server.address())?;
    let restart = server.crash_and_restart()?;
    let restarted = Memory::of(server.pid())?;
    let after = State::of(server.address())?;
    if after != before {
        return Err(format!("the store was at {before:?} before a crash and is at {after:?} after it").into());
    }
    let mib = |bytes: u64| bytes as f64 / MIB;
    let mut sample = latencies(&seen);
    sample.extend([
        (Metric::Rate, seen.answered as f64 / seen.window.as_secs_f64()),
        (Metric::PeakMemory, mib(memory.peak)),
        (Metric::Memory, mib(memory.resident)),
        (Metric::AnonymousMemory, mib(memory.anonymous)),
        (Metric::BytesPerKey, memory.resident.saturating_sub(empty.resident) as f64 / keys as f64),
        (Metric::Disk, mib(disk)),
        (Metric::Restart, restart.as_secs_f64() * 1e3),
        (Metric::RestartedMemory, mib(restarted.resident)),
        (Metric::Failed, 0.0),
    ]);
    Ok(Round { sample, failure: None })
}

/// Writes the keys `0..keys` and makes sure that they are there.
fn load_keys(server: &Server, keys: u64, options: &Options) -> Outcome<Seen> {
    let before = State::of(server.address())?;
    let load = Load {
        clients: LOADING_CLIENTS,
        connections: options.connections,
        pace: Pace::Closed,
        span: Span::Requests(keys),
    };
    let seen = load.run(server.address(), &mut Requests::put(keys, options.value_bytes), |_| Ok(()))?;
    if let Some(failure) = seen.failure() {
        return Err(format!("keys were not loaded: {failure}").into());
    }
    before.check_after(keys, State::of(server.address())?)?;
    Ok(seen)
}

/// Did the store change as the answers said? Not to be told when some have failed: a write without an answer may
/// have happened.
fn check(before: State, after: State, workload: Workload, seen: &Seen) -> Outcome<()> {
    if seen.failed > 0 {
        return Ok(());
    }
    before.check_after(if workload.reads_only() { 0 } else { seen.answered }, after)
}

fn latencies(seen: &Seen) -> Sample {
    let micros = |quantile| seen.latencies.value_at_quantile(quantile) as f64 / 1e3;
    Sample::from([
        (Metric::P50, micros(0.5)),
        (Metric::P90, micros(0.9)),
        (Metric::P99, micros(0.99)),
        (Metric::P999, micros(0.999)),
        (Metric::Max, micros(1.0)),
    ])
}

/// Processor time of this thread, which is the generator.
fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_get_a_store_each_and_reads_share_one() {
        let options = Options { clients: vec![1, 64], ..Options::default() };
        let plan: Vec<Vec<(&str, usize)>> = Session::plan(&options)
            .iter()
            .map(|session| session.cells.iter().map(|cell| (cell.workload.name(), cell.clients)).collect())
            .collect();
        let reads = ["range", "range-serializable", "list"];
        assert_eq!(
            plan,
            [
                vec![("put", 1)],
                vec![("put", 64)],
                vec![("txn", 1)],
                vec![("txn", 64)],
                reads.iter().flat_map(|name| [(*name, 1), (*name, 64)]).collect(),
                vec![("memory", LOADING_CLIENTS)],
            ]
        );
    }
}
