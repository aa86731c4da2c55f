//! One life of a server and the loads that are put on it.

mod lease;
mod moment;
mod slow_disk;
mod watch;

use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;

use self::moment::Moment;
use crate::Outcome;
use crate::check::State;
use crate::load::{Load, Mark, Pace, Seen, Span};
use crate::machine::{Placement, disk_bytes};
use crate::options::Options;
use crate::process::{Memory, Usage, program_bytes};
use crate::requests::Requests;
use crate::result::{Cell, Metric, Sample};
use crate::server::Server;
use crate::workload::Workload;

/// Load before the window, so that connections, caches and the server's heap are warm.
const WARM_UP: Duration = Duration::from_millis(500);
/// Outstanding requests while keys are loaded.
const LOADING_CLIENTS: usize = 64;
/// The same while history is written, which is not measured.
const HISTORY_CLIENTS: usize = 1000;
const MIB: f64 = 1_048_576.0;

/// Loads for one server, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Session {
    pub(crate) cells: Vec<Cell>,
}

impl Session {
    /// Splits a run into sessions. Reads share a store, and so do loads that need much history, because that
    /// takes long to write; each other load that writes gets an empty one, or the faster server would have to
    /// carry more data than the slower one.
    pub(crate) fn plan(options: &Options) -> Vec<Self> {
        let mut sessions: Vec<Self> = Vec::new();
        let mut shared: Vec<(Store, Self)> = Vec::new();
        for workload in &options.workloads {
            let cells = cells(*workload, options);
            match Store::of(*workload) {
                Store::Own => sessions.extend(cells.into_iter().map(|cell| Self { cells: vec![cell] })),
                store => match shared.iter_mut().find(|(other, _)| *other == store) {
                    Some((_, session)) => session.cells.extend(cells),
                    None => shared.push((store, Self { cells })),
                },
            }
        }
        sessions.extend(shared.into_iter().map(|(_, session)| session));
        sessions
    }

    /// How often it is worth repeating.
    pub(crate) fn rounds(&self, options: &Options) -> usize {
        if self.cells[0].workload.needs_one_round() { 1 } else { options.rounds }
    }

    /// Runs the loads on a fresh server and gives what came of each to `on_round`.
    pub(crate) fn run(
        &self,
        options: &Options,
        program: &Path,
        data_dir: &Path,
        placement: &Placement,
        mut on_round: impl FnMut(Cell, Round),
    ) -> Outcome<()> {
        let workload = self.cells[0].workload;
        let mut server = Server::start(program, workload, data_dir, placement)?;
        let result = self.cells.iter().try_for_each(|cell| {
            Store::of(cell.workload).fill(&mut server, options)?;
            if workload.members() > 1 {
                server.ask(cell.workload.asks_leader())?;
            }
            let round = match cell.workload {
                Workload::Memory => measure_memory(&mut server, options),
                Workload::Idle => measure_idle(&server),
                workload if workload.watches() => watch::measure(&mut server, *cell, options),
                workload if workload.slows_disk() => slow_disk::measure(&mut server, *cell, options),
                workload if workload.leases() => lease::measure(&server, *cell, options),
                _ => measure(&server, *cell, options),
            };
            on_round(*cell, round?);
            Ok(())
        });
        result.map_err(|error: Box<dyn std::error::Error>| match server.last_words() {
            words if words.is_empty() => error,
            words => format!("{error}; the server's last words:\n{words}").into(),
        })
    }
}

/// Whose data a load finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Own,
    /// The one of all loads that read keys.
    Keys,
    /// The same in a cluster.
    ClusterKeys,
    /// The one of all loads that need much history.
    History,
}

impl Store {
    fn of(workload: Workload) -> Self {
        match workload {
            Workload::ClusterRange => Store::ClusterKeys,
            workload if workload.reads_only() => Store::Keys,
            workload if workload.needs_history() => Store::History,
            _ => Store::Own,
        }
    }

    /// Writes what the loads shall find, unless it is there.
    fn fill(self, server: &mut Server, options: &Options) -> Outcome<()> {
        if self == Store::Own || State::of(server.address())?.keys > 0 {
            return Ok(());
        }
        if self == Store::History {
            return load_keys(server, options.history, HISTORY_CLIENTS, options).map(drop);
        }
        load_keys(server, options.keys, LOADING_CLIENTS, options)?;
        // Reads find a store that was opened, not one that was just written: etcd 3.4 would copy its buffer of
        // recent writes for each of them, which more than doubles their cost.
        server.crash_and_restart()?;
        Ok(())
    }
}

/// The loads of a workload.
fn cells(workload: Workload, options: &Options) -> Vec<Cell> {
    let clients = match workload {
        Workload::Memory => vec![LOADING_CLIENTS],
        Workload::Idle => vec![1],
        workload if workload.watches() => watch::clients(workload, options),
        workload if workload.leases() => lease::clients(workload, options),
        workload if workload.slows_disk() => vec![slow_disk::CLIENTS],
        _ => options.clients.clone(),
    };
    clients.into_iter().map(|clients| Cell { workload, clients }).collect()
}

/// What came of one load.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) sample: Sample,
    /// What went wrong, if anything did.
    pub(crate) failure: Option<String>,
}

/// Load for a window, as the options have it.
fn window_load(cell: Cell, options: &Options) -> Load {
    Load {
        clients: cell.clients,
        connections: options.connections,
        pace: options.open_loop.map_or(Pace::Closed, Pace::Open),
        span: Span::Time { warm_up: WARM_UP, window: options.window },
    }
}

/// Puts one load on the server and looks at it from all sides.
fn measure(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let pids = &server.pids();
    let before = State::of(server.address())?;
    Usage::when_settled(pids)?;
    Memory::forget_peak(pids);
    let peer_bytes = if cell.workload.members() > 1 { server.peer_bytes()? } else { 0.0 };

    let load = window_load(cell, options);
    let mut requests = cell.workload.requests(options.keys, options.value_bytes);
    let mut marks = Vec::with_capacity(2);
    let seen = load.run(server.address(), &mut requests, |mark| {
        debug_assert_eq!(mark == Mark::Begin, marks.is_empty());
        marks.push(Moment::now(pids)?);
        Ok(())
    })?;
    let [begin, end] = &marks[..] else { unreachable!("a load has two marks") };
    let costs = begin.until(end);
    let settled = Usage::when_settled(pids)?;
    let memory = Memory::of(pids)?;
    check(before, State::of(server.address())?, cell.workload, &seen)?;

    let answered = seen.answered_in_window.max(1) as f64;
    let mut sample = latencies(&seen);
    sample.extend([
        (Metric::Rate, seen.answered_in_window as f64 / seen.window.as_secs_f64()),
        (Metric::ServerCpu, costs.server * 1e6 / answered),
        (Metric::GeneratorCpu, costs.generator * 1e6 / answered),
        (
            Metric::Written,
            (settled.written_bytes - begin.usage.written_bytes) as f64
                / 1.024
                / seen.answered_since_window.max(1) as f64,
        ),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Others, costs.others_percent()),
        (Metric::Failed, (seen.failed + seen.unsent) as f64),
    ]);
    if cell.workload.members() > 1 {
        let sent = server.peer_bytes()? - peer_bytes;
        sample.insert(Metric::PeerBytes, sent / seen.answered.max(1) as f64);
    }
    Ok(Round { sample, failure: seen.failure() })
}

/// Loads many keys, one request each, then crashes the server and starts it again.
fn measure_memory(server: &mut Server, options: &Options) -> Outcome<Round> {
    let keys = options.memory_keys;
    let empty = Memory::of(&server.pids())?;
    let seen = load_keys(server, keys, LOADING_CLIENTS, options)?;
    Usage::when_settled(&server.pids())?;
    let memory = Memory::of(&server.pids())?;
    let disk = disk_bytes(&server.data_dir())?;
    let before = State::of(server.address())?;
    let restart = server.crash_and_restart()?;
    let restarted = Memory::of(&server.pids())?;
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

/// The time that the start took, and the memory of a server that has served one request.
fn measure_idle(server: &Server) -> Outcome<Round> {
    let pids = &server.pids();
    Usage::when_settled(pids)?;
    let memory = Memory::of(pids)?;
    let program = program_bytes(*pids.first().ok_or("the server has no process")?)?;
    let sample = Sample::from([
        (Metric::Program, program as f64 / MIB),
        (Metric::Start, server.start_time().as_secs_f64() * 1e3),
        (Metric::Memory, memory.resident as f64 / MIB),
        (Metric::AnonymousMemory, memory.anonymous as f64 / MIB),
        (Metric::Failed, 0.0),
    ]);
    Ok(Round { sample, failure: None })
}

/// Writes the keys `0..keys` and makes sure that they are there.
fn load_keys(server: &Server, keys: u64, clients: usize, options: &Options) -> Outcome<Seen> {
    let before = State::of(server.address())?;
    let load =
        Load { clients, connections: options.connections, pace: Pace::Closed, span: Span::Requests(keys) };
    let seen = load.run(server.address(), &mut Requests::put(keys, options.value_bytes), |_| Ok(()))?;
    if let Some(failure) = seen.failure() {
        return Err(format!("keys were not loaded: {failure}").into());
    }
    before.check_after(keys, State::of(server.address())?)?;
    Ok(seen)
}

/// Did the store change as the responses said? Unknown after failures: a write without a response may
/// have happened.
fn check(before: State, after: State, workload: Workload, seen: &Seen) -> Outcome<()> {
    if seen.failed > 0 {
        return Ok(());
    }
    before.check_after(if workload.keeps_keys() { 0 } else { seen.answered }, after)
}

/// The latencies of requests.
fn latencies(seen: &Seen) -> Sample {
    use Metric::{Max, P50, P90, P99, P999};
    quantiles(&seen.latencies, [(P50, 0.5), (P90, 0.9), (P99, 0.99), (P999, 0.999), (Max, 1.0)])
}

/// The times in microseconds within which these shares of the requests had their responses.
fn quantiles<const N: usize>(latencies: &Histogram<u64>, shares: [(Metric, f64); N]) -> Sample {
    shares.map(|(metric, share)| (metric, latencies.value_at_quantile(share) as f64 / 1e3)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(options: &Options) -> Vec<Vec<(&'static str, usize)>> {
        let names = |session: &Session| {
            session.cells.iter().map(|cell| (cell.workload.name(), cell.clients)).collect()
        };
        Session::plan(options).iter().map(names).collect()
    }

    #[test]
    fn writes_get_a_store_each_and_reads_share_one() {
        let workloads = Workload::group("kv");
        let options = Options { clients: vec![1, 64], workloads, ..Options::default() };
        let reads = ["range", "range-serializable", "list"];
        assert_eq!(
            plan(&options),
            [
                vec![("put", 1)],
                vec![("put", 64)],
                vec![("txn", 1)],
                vec![("txn", 64)],
                vec![("memory", LOADING_CLIENTS)],
                vec![("idle", 1)],
                reads.iter().flat_map(|name| [(*name, 1), (*name, 64)]).collect(),
            ]
        );
    }

    #[test]
    fn each_load_with_leases_has_a_store() {
        let options = Options { workloads: Workload::group("leasing"), ..Options::default() };
        assert_eq!(
            plan(&options),
            [
                vec![("lease-keep-alive", 1)],
                vec![("lease-keep-alive", 64)],
                vec![("lease-keep-alive", 1000)],
                vec![("lease-expiry", 1000)],
                vec![("lease-revoke", 64)],
            ]
        );
        let rounds: Vec<usize> =
            Session::plan(&options).iter().map(|session| session.rounds(&options)).collect();
        assert_eq!(rounds, [3, 3, 3, 1, 3]);
    }

    #[test]
    fn slow_disks_are_measured_in_one_size() {
        let options =
            Options { clients: vec![1, 64], workloads: Workload::group("clusters"), ..Options::default() };
        assert_eq!(
            plan(&options),
            [
                vec![("cluster-put", 1)],
                vec![("cluster-put", 64)],
                vec![("cluster-put-follower", 1)],
                vec![("cluster-put-follower", 64)],
                vec![("cluster-slow-follower", slow_disk::CLIENTS)],
                vec![("cluster-slow-leader", slow_disk::CLIENTS)],
                vec![("cluster-range", 1), ("cluster-range", 64)],
            ]
        );
    }

    #[test]
    fn what_needs_history_shares_it() {
        let options = Options { workloads: Workload::group("watching"), ..Options::default() };
        assert_eq!(
            plan(&options),
            [
                vec![("watch", 1)],
                vec![("watch", 64)],
                vec![("watch-keys", 64)],
                vec![("watch-flood", 64)],
                vec![("watch-idle", 10_000)],
                vec![("watch-idle-streams", 10_000)],
                vec![
                    ("watch-catchup", 1),
                    ("watch-catchup", 10),
                    ("watch-catchup", 100),
                    ("watch-behind", 64),
                    ("watch-stalled", 64)
                ],
            ]
        );
    }
}
