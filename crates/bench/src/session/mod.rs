//! One life of a server and the loads that are put on it.

mod auth;
mod defrag;
mod lease;
mod list;
mod moment;
mod round;
mod slow_disk;
mod watch;

use std::path::Path;

use self::round::{LOADING_CLIENTS, MIB, latencies, load_keys, measure};
use crate::Outcome;
use crate::check::State;
use crate::machine::{Placement, disk_bytes};
use crate::options::Options;
use crate::process::{Memory, Usage, program_bytes};
use crate::result::{Cell, Metric, Sample};
use crate::server::Server;
use crate::workload::Workload;

pub(crate) use self::round::Round;

/// Outstanding requests while history is written, which is not measured.
const HISTORY_CLIENTS: usize = 1000;
/// Loads for one server, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Session {
    pub(crate) cells: Vec<Cell>,
}

impl Session {
    /// Splits a run into sessions. Reads share a store, and so do loads that need much history or many lists, because
    /// those take long to write; each other load that writes gets an empty one, or the faster server would have to
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
        let flags = auth::flags(workload, options);
        let mut server = Server::start(program, flags, workload, data_dir, placement)?;
        let result = self.cells.iter().try_for_each(|cell| {
            Store::of(cell.workload).fill(cell.workload, &mut server, options)?;
            if workload.members() > 1 {
                server.query(cell.workload.queries_leader())?;
            }
            let round = match cell.workload {
                Workload::Memory => measure_memory(&mut server, options),
                Workload::Defrag => defrag::measure(&server, *cell, options),
                Workload::Idle => measure_idle(&server),
                workload if workload.watches() => watch::measure(&mut server, *cell, options),
                workload if workload.slows_disk() => slow_disk::measure(&mut server, *cell, options),
                workload if workload.leases() => lease::measure(&server, *cell, options),
                workload if workload.lists() => list::measure(&mut server, *cell, options),
                workload if workload.authenticates() => auth::measure(&server, *cell, options),
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

/// The data that a load finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Own,
    /// The one of all loads that read keys.
    Keys,
    /// The same for users.
    AuthKeys,
    /// The same in a cluster.
    ClusterKeys,
    /// The one of all loads that need much history.
    History,
    /// The one of loads that read large lists or pages and write nothing.
    Listed,
    /// The one of all loads that count.
    Counted,
    /// The one of all loads of this kind: it has what is listed, and puts are added to it.
    Beside(Workload),
}

impl Store {
    fn of(workload: Workload) -> Self {
        match workload {
            Workload::AuthRange => Store::AuthKeys,
            Workload::ClusterRange => Store::ClusterKeys,
            workload if workload.reads_only() => Store::Keys,
            workload if workload.needs_history() => Store::History,
            Workload::ListOne | Workload::ListOneStream | Workload::Pages | Workload::PagesFixed => {
                Store::Listed
            }
            Workload::Count
            | Workload::CountBeside
            | Workload::CountOld
            | Workload::CountOldBeside
            | Workload::Metrics => Store::Counted,
            // The versions of its key count from 1.
            Workload::EventBeside => Store::Own,
            workload if workload.lists() => Store::Beside(workload),
            _ => Store::Own,
        }
    }

    /// Writes what the loads shall find, unless it is there.
    fn fill(self, workload: Workload, server: &mut Server, options: &Options) -> Outcome<()> {
        if let Store::Listed | Store::Counted | Store::Beside(_) = self {
            return list::fill(server, workload, options);
        }
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
        Workload::Defrag => vec![defrag::CLIENTS],
        Workload::Idle | Workload::Metrics => vec![1],
        workload if workload.watches() => watch::clients(workload, options),
        workload if workload.leases() => lease::clients(workload, options),
        workload if workload.lists() => list::clients(workload, options),
        workload if workload.authenticates() => auth::clients(workload, options),
        workload if workload.slows_disk() => vec![slow_disk::CLIENTS],
        _ => options.clients.clone(),
    };
    clients.into_iter().map(|clients| Cell { workload, clients }).collect()
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
        (Metric::Rate, seen.responses as f64 / seen.window.as_secs_f64()),
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
        let reads = ["range", "range-serializable", "list-small"];
        assert_eq!(
            plan(&options),
            [
                vec![("put", 1)],
                vec![("put", 64)],
                vec![("txn", 1)],
                vec![("txn", 64)],
                vec![("memory", LOADING_CLIENTS)],
                vec![("defrag", 64)],
                vec![("idle", 1)],
                reads.iter().flat_map(|name| [(*name, 1), (*name, 64)]).collect(),
            ]
        );
    }

    #[test]
    fn lists_of_a_kind_share_a_store() {
        let options =
            Options { workloads: Workload::group("listing"), lists: vec![0, 8], ..Options::default() };
        let both = |name| vec![(name, 0), (name, 8)];
        let one = |names: [&'static str; 4]| names.map(|name| (name, 1)).to_vec();
        assert_eq!(
            plan(&options),
            [
                vec![("event-beside", 0)],
                vec![("event-beside", 10)],
                one(["list-one", "list-one-stream", "pages", "pages-fixed"]),
                both("list-beside"),
                both("list-stalled"),
                both("list-unread"),
                one(["count", "count-beside", "count-old", "count-old-beside"]),
                both("cluster-list-beside"),
                both("cluster-list-stalled"),
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
    fn the_page_of_metrics_is_read_beside_many_keys() {
        let options = Options { clients: vec![64], workloads: Workload::group("http"), ..Options::default() };
        assert_eq!(
            plan(&options),
            [
                vec![("gateway-put", 64)],
                vec![("gateway-watch", 1)],
                vec![("gateway-watch", 64)],
                vec![("gateway-range", 64)],
                vec![("metrics", 1)],
            ]
        );
    }

    #[test]
    fn users_read_from_one_store() {
        let options = Options { workloads: Workload::group("auth"), ..Options::default() };
        assert_eq!(
            plan(&options),
            [
                vec![("auth-put", 64)],
                vec![("auth-put", 1000)],
                vec![("auth-login-warm", 64)],
                vec![("auth-login-cold", 64)],
                vec![("auth-login-storm", 64)],
                vec![("auth-revoke", 1000)],
                vec![("auth-range", 64), ("auth-range", 1000)],
            ]
        );
        let rounds: Vec<usize> =
            Session::plan(&options).iter().map(|session| session.rounds(&options)).collect();
        assert_eq!(rounds, [3, 3, 3, 1, 1, 3, 3]);
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
