//! Puts beside clients that together list many times what the server has memory for.

use std::time::{Duration, Instant};

use super::beside::{list_metrics, run};
use super::data::{Data, PUT_CLIENTS};
use crate::check::State;
use crate::lists::{Readers, Reading};
use crate::load::{Load, Seen, Span};
use crate::memory_group::MemoryGroup;
use crate::options::Options;
use crate::process::{Memory, Usage};
use crate::result::{Cell, Metric, Sample};
use crate::server::Server;
use crate::session::moment::Costs;
use crate::session::round::{MIB, Round, WARM_UP, load_keys, p99, put_metrics, window_load};
use crate::{Outcome, pause};

/// Clients that list.
pub(super) const CLIENTS: usize = 50;
/// How much longer than other windows this one is: a list takes long, and what comes of all of them shows later still.
const WINDOWS: u32 = 6;
/// Puts after the loading of the lists. Servers keep the last entries of their log in memory, and those of the loading are
/// a hundred times as large as the entries of other clients: etcd keeps up to 10,000 before a snapshot.
const SMALL_PUTS: u64 = 20_000;
/// A process whose connections have ended is given this long to end as well, and looked at this often.
const END_TIME_MAX: Duration = Duration::from_secs(5);
const LOOK_TIME: Duration = Duration::from_millis(20);

/// Puts without the lists and beside them, on a server whose memory is bounded.
pub(super) fn measure(server: &mut Server, cell: Cell, options: &Options) -> Outcome<Round> {
    load_keys(server, SMALL_PUTS, PUT_CLIENTS, options)?;
    let group = MemoryGroup::new(options.group_mib << 20)?;
    let mut sample = Sample::new();
    let failure = match server.restart_in(group).and_then(|_| measure_in(server, cell, options, &mut sample))
    {
        Ok(failure) => failure,
        // The bound is what the server was to keep to; what came before its end stands.
        Err(_) if has_ended(server)? => None,
        Err(error) => return Err(error),
    };
    sample.insert(Metric::Killed, server.n_ended()? as f64);
    Ok(Round { sample, failure })
}

/// Has a process of the server ended? A connection ends before its process does, whose memory is freed first.
fn has_ended(server: &mut Server) -> Outcome<bool> {
    let begin = Instant::now();
    while server.n_ended()? == 0 {
        if begin.elapsed() >= END_TIME_MAX {
            return Ok(false);
        }
        pause(LOOK_TIME);
    }
    Ok(true)
}

/// Adds what is measured to the sample as it comes; what went wrong with the lists.
fn measure_in(
    server: &Server,
    cell: Cell,
    options: &Options,
    sample: &mut Sample,
) -> Outcome<Option<String>> {
    let pids = &server.pids();
    let load = Load { clients: PUT_CLIENTS, ..window_load(cell, options) };
    let mut requests = cell.workload.requests(options.keys, options.value_bytes);
    let list = || Data::of(cell.workload, options).list(cell.workload);
    Usage::when_idle(pids)?;
    let before = State::of(server.address())?;
    // These are new keys, too.
    requests.skip(before.keys);
    let readers = Readers::open(server.address(), 0, list(), Reading::Always)?;
    let (quiet, _) = run(load, server, &mut requests, None, readers).0?;
    if let Some(failure) = quiet.failure() {
        return Err(format!("without lists {failure}").into());
    }
    sample.insert(Metric::QuietP99, p99(&quiet));

    Usage::when_settled(pids)?;
    let memory_before = Memory::of(pids)?;
    let readers = Readers::open(server.address(), cell.clients, list(), Reading::Always)?;
    let load = Load { span: Span::Time { warm_up: WARM_UP, window: WINDOWS * options.window }, ..load };
    let (puts, lists) = run(load, server, &mut requests, None, readers);
    let lists = lists?;
    sample.extend(list_metrics(&lists, cell.clients));
    let (puts, costs) = puts?;
    sample.extend(beside_metrics(&puts, &costs, &quiet));
    let memory = Memory::of(pids)?;
    sample.extend([
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Growth, memory.peak.saturating_sub(memory_before.resident) as f64 / MIB),
        (Metric::Failed, (puts.failed + puts.unsent + lists.n_failed) as f64),
    ]);
    if puts.failed == 0 {
        Usage::when_idle(pids)?;
        before.check_after(quiet.responses + puts.responses, State::of(server.address())?)?;
    }
    Ok(lists.fault)
}

fn beside_metrics(puts: &Seen, costs: &Costs, quiet: &Seen) -> Sample {
    let mut sample = put_metrics(puts, costs);
    sample.insert(Metric::TimesQuiet, p99(puts) / p99(quiet));
    sample
}
