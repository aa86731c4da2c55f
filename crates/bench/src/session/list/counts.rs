//! Counts of all keys, alone and beside a writer, now and at an old revision.

use std::thread::ScopedJoinHandle;

use super::data::{Data, PUT_CLIENTS};
use crate::Outcome;
use crate::check::Client;
use crate::load::{Load, Pace, Seen};
use crate::options::Options;
use crate::process::{Memory, Usage};
use crate::requests::Requests;
use crate::result::{Cell, Metric};
use crate::server::Server;
use crate::session::moment::Moment;
use crate::session::round::{MIB, Round, latencies, window_load};
use crate::workload::Workload;

/// Puts per second of the writer, unless the command line has a schedule.
const PUT_RATE: f64 = 1000.0;
/// The revision of an empty store.
const FIRST_REVISION: i64 = 1;

/// Counts, one request after the other.
pub(super) fn measure(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let pids = &server.pids();
    let data = Data::of(cell.workload, options);
    let (is_old, is_beside) = match cell.workload {
        Workload::Count => (false, false),
        Workload::CountBeside => (false, true),
        Workload::CountOld => (true, false),
        _ => (true, true),
    };
    let (revision, expected) = if is_old {
        let n_batches = Requests::put_listed_in_batches(data.keys, data.value_bytes).n_for(data.keys);
        (FIRST_REVISION + i64::try_from(n_batches)?, data.keys)
    } else {
        (0, data.keys - data.n_deleted())
    };
    let client = Client::connect(server.address())?;
    check(&client, revision, expected)?;
    Usage::when_idle(pids)?;
    Memory::forget_peak(pids);

    let load = window_load(cell, options);
    let mut counts = Requests::count_listed(revision);
    let mut marks = Vec::with_capacity(2);
    let (seen, puts) = std::thread::scope(|scope| {
        let writing = is_beside.then(|| {
            let pace = Pace::Open(options.open_loop.unwrap_or(PUT_RATE));
            let load = Load { clients: PUT_CLIENTS, pace, ..load };
            scope.spawn(move || write(load, server, data))
        });
        let seen = load.run(server.address(), &mut counts, |_| {
            marks.push(Moment::now(pids)?);
            Ok(())
        });
        Outcome::Ok((seen?, writing.map(end).transpose()?))
    })?;
    let [begin, end] = &marks[..] else { unreachable!("a load has two marks") };
    let costs = begin.until(end);
    let memory = Memory::of(pids)?;
    check(&client, revision, expected)?;

    let n_failed = |seen: &Seen| seen.failed + seen.unsent;
    let n_responses = seen.responses_in_window;
    let mut sample = latencies(&seen);
    sample.extend([
        (Metric::Rate, n_responses as f64 / seen.window.as_secs_f64()),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Others, costs.others_percent()),
        (Metric::Failed, (n_failed(&seen) + puts.as_ref().map_or(0, n_failed)) as f64),
    ]);
    let failure = seen.failure().or_else(|| puts?.failure());
    Ok(Round { sample, failure })
}

/// Puts keys that are counted, which changes no count. Errors of any kind don't cross threads.
fn write(load: Load, server: &Server, data: Data) -> Result<Seen, String> {
    let mut requests = Requests::put_listed(data.n_rewritten(), data.value_bytes);
    load.run(server.address(), &mut requests, |_| Ok(())).map_err(|error| error.to_string())
}

fn end(writing: ScopedJoinHandle<'_, Result<Seen, String>>) -> Outcome<Seen> {
    Ok(writing.join().expect("errors are returned")?)
}

/// Is this what the server counts?
fn check(client: &Client, revision: i64, expected: u64) -> Outcome<()> {
    match client.count_listed(revision)? {
        count if count == expected => Ok(()),
        count => {
            Err(format!("{count} keys were counted at revision {revision}, and there are {expected}").into())
        }
    }
}
