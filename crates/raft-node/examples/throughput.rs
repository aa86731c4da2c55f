//! Measures a single voter on a real directory: proposals per second and processor time per proposal with many
//! outstanding, and the way from a proposal to its commit with one outstanding, beside a bare append and sync.
//!
//! `cargo run --release -p ferretcd-raft-node --example throughput -- [directory]`

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferretcd_base::MemberId;
use ferretcd_raft_node::*;
use ferretcd_wal::{Entry, EntryKind, HardState, Metadata, SnapshotMark, Wal};

const ME: MemberId = MemberId(1);
const DISK: ferretcd_wal::Config = ferretcd_wal::Config { segment_bytes: 64_000_000, unsafe_no_fsync: false };
const VALUE_BYTES: usize = 300;
const DURATION: Duration = Duration::from_secs(4);

/// Passes on the index of the last committed entry and how many proposals came with it.
struct Member(SyncSender<(u64, usize)>);

impl Host for Member {
    fn committed(&self, entries: Vec<Committed>) {
        let n_proposals = entries.iter().filter(|entry| matches!(entry.payload, Payload::Normal(_))).count();
        let last = entries.last().map_or(0, |entry| entry.position.index);
        // The main thread stops listening when it has seen enough.
        let _ = self.0.send((last, n_proposals));
    }
    fn install(&self, _mark: SnapshotMark) {}
    fn read_ready(&self, _token: ReadToken, _index: u64) {}
    fn proposals_dropped(&self, _tokens: Vec<u64>) {}
    fn role_changed(&self, _status: &Status) {}
    fn persisted(&self, _report: &Persisted) {}
    fn failed(&self, _error: &Error) {}
}

fn start(dir: &Path) -> Result<(Node, Receiver<(u64, usize)>), Error> {
    let mut log = Wal::create(dir, Metadata { node_id: ME.0, cluster_id: 1 }, DISK)?;
    bootstrap(&mut log, &[(ME, Bytes::new())])?;
    drop(log);
    let (log, recovered) = Wal::open(dir, DISK)?;
    let config = Config {
        id: ME,
        heartbeat: Duration::from_millis(100),
        election_ticks: 10,
        pre_vote: true,
        check_quorum: true,
        max_size_per_msg: 1 << 20,
        max_inflight_msgs: 256,
        catchup_entries: 5000,
        catchup_bytes: 64 << 20,
        unapplied_max: 5000,
        inbox: 4096,
        proposal_ticks: 50,
        advance_ticks: true,
    };
    let (sender, committed) = sync_channel(100_000);
    let host = Arc::new(Member(sender));
    let node = Node::start(config, log, recovered, Applied::default(), Arc::new(NoPeers), host)?;
    Ok((node, committed))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base)?;
    let mut out = std::io::stdout().lock();

    let mut bare = bare_syncs(&dir.path().join("bare"))?;
    writeln!(out, "bare append + sync: {}", percentiles(&mut bare))?;
    let (node, committed) = start(&dir.path().join("wal"))?;
    let handle = node.handle();
    // The log begins with the change that adds this member.
    let (index, _) = committed.recv()?;
    let change = ConfChange { id: 0, kind: ConfChangeKind::AddNode, node: ME, context: Bytes::new() };
    handle.configure(index, Some(change));
    handle.applied(index);
    while handle.status().role != Role::Leader || handle.status().committed < 2 {
        let (index, _) = committed.recv()?;
        handle.applied(index);
    }
    let mut latencies = one_outstanding(&handle, &committed)?;
    writeln!(out, "one outstanding: {}", percentiles(&mut latencies))?;
    for n_outstanding in [64, 1000] {
        let (per_second, cpu) = many_outstanding(&handle, &committed, n_outstanding)?;
        writeln!(
            out,
            "{n_outstanding} outstanding: {per_second:.0} proposals/s, {cpu:.2} us of processor each"
        )?;
    }
    node.stop();
    Ok(())
}

fn bare_syncs(dir: &Path) -> Result<Vec<Duration>, ferretcd_wal::Error> {
    let mut log = Wal::create(dir, Metadata { node_id: ME.0, cluster_id: 1 }, DISK)?;
    let data = Bytes::from(vec![b'x'; VALUE_BYTES]);
    let mut latencies = Vec::new();
    let start = Instant::now();
    while start.elapsed() < DURATION / 2 {
        let index = latencies.len() as u64 + 1;
        let begin = Instant::now();
        let entry = Entry { term: 1, index, kind: EntryKind::Normal, data: data.clone() };
        log.append(&[entry], Some(HardState { term: 1, vote: 1, commit: index - 1 }))?;
        log.sync()?;
        latencies.push(begin.elapsed());
    }
    Ok(latencies)
}

fn one_outstanding(
    handle: &NodeHandle,
    committed: &Receiver<(u64, usize)>,
) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let mut latencies = Vec::new();
    let start = Instant::now();
    while start.elapsed() < DURATION / 2 {
        let begin = Instant::now();
        handle.propose(0, vec![b'x'; VALUE_BYTES].into())?;
        let (index, _) = committed.recv()?;
        latencies.push(begin.elapsed());
        handle.applied(index);
    }
    Ok(latencies)
}

/// Proposals per second, and microseconds of this process's time per proposal, the proposing thread's included.
fn many_outstanding(
    handle: &NodeHandle,
    committed: &Receiver<(u64, usize)>,
    n_outstanding: usize,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let (start, cpu_start) = (Instant::now(), processor_ticks()?);
    let (mut n_proposed, mut n_committed) = (0, 0);
    while start.elapsed() < DURATION {
        while n_proposed - n_committed < n_outstanding {
            handle.propose(0, vec![b'x'; VALUE_BYTES].into())?;
            n_proposed += 1;
        }
        let (index, n_proposals) = committed.recv()?;
        n_committed += n_proposals;
        handle.applied(index);
    }
    let (elapsed, ticks) = (start.elapsed(), processor_ticks()? - cpu_start);
    while n_committed < n_proposed {
        n_committed += committed.recv()?.1;
    }
    let n_committed = n_committed as f64;
    Ok((n_committed / elapsed.as_secs_f64(), ticks as f64 * 10_000.0 / n_committed))
}

/// Hundredths of a second that this process has run, in user and kernel mode.
fn processor_ticks() -> Result<u64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    Ok(fields.get(11).unwrap_or(&"0").parse::<u64>()? + fields.get(12).unwrap_or(&"0").parse::<u64>()?)
}

fn percentiles(latencies: &mut [Duration]) -> String {
    latencies.sort_unstable();
    let at = |percent: usize| {
        latencies[(latencies.len() * percent / 100).min(latencies.len() - 1)].as_secs_f64() * 1e6
    };
    format!("p50 {:.0} us, p90 {:.0} us, p99 {:.0} us of {}", at(50), at(90), at(99), latencies.len())
}
