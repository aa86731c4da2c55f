//! Puts beside clients that list.
//!
//! ```text
//!             connect  begin of the window                    end        last response
//!  readers    |--------|===================== lists ==========|==========|
//!  puts          |-----|===================== measured =======|----------|
//! ```
//!
//! The lists begin with the window, so that the worst moment, in which all of them begin, is measured too.

use std::sync::atomic::{AtomicBool, Ordering};

use super::data::{Data, PUT_CLIENTS};
use crate::Outcome;
use crate::check::State;
use crate::lists::{Readers, Reading, Tally};
use crate::load::{Load, Seen};
use crate::options::Options;
use crate::process::{Memory, Usage};
use crate::requests::Requests;
use crate::result::{Cell, Metric, Sample};
use crate::server::Server;
use crate::session::moment::{Costs, Moment};
use crate::session::round::{MIB, Round, put_metrics, window_load};
use crate::watch::Watchers;
use crate::workload::Workload;

/// A tenth of the weight of the puts on the generator's core: these are measured and must not wait for the reading.
const READER_NICENESS: i32 = 10;

/// Puts while so many clients list.
pub(super) fn measure(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let pids = &server.pids();
    let reading = match cell.workload {
        Workload::ListStalled | Workload::ClusterListStalled => Reading::FirstWindow,
        Workload::ListUnread => Reading::Never,
        _ => Reading::Always,
    };
    Usage::when_idle(pids)?;
    let (before, term) = (State::of(server.address())?, server.term()?);
    let memory_before = Memory::of(pids)?;
    Memory::forget_peak(pids);

    let list = Data::of(cell.workload, options).list(cell.workload);
    let readers = Readers::open(server.address(), cell.clients, list, reading)?;
    let load = Load { clients: PUT_CLIENTS, ..window_load(cell, options) };
    let mut requests = cell.workload.requests(options.keys, options.value_bytes);
    // These are new keys, too.
    requests.skip(before.keys);
    let (puts, lists) = run(load, server, &mut requests, None, readers);
    let ((puts, costs), lists) = (puts?, lists?);

    let memory = Memory::of(pids)?;
    let elections = server.term()? - term;
    if puts.failed == 0 {
        Usage::when_idle(pids)?;
        State::of(server.address())?.check_revision(before.revision + puts.responses)?;
    }
    let mut sample = put_metrics(&puts, &costs);
    sample.extend(list_metrics(&lists, cell.clients));
    sample.extend([
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Growth, memory.peak.saturating_sub(memory_before.resident) as f64 / MIB),
        (Metric::Elections, elections as f64),
        (Metric::Failed, (puts.failed + puts.unsent + lists.n_failed) as f64),
    ]);
    // A server that is busy with lists may let puts wait in vain. That is a result, and no failure of the run.
    let failure = if cell.clients == 0 { puts.failure() } else { lists.fault };
    Ok(Round { sample, failure })
}

/// Puts the load on the server, and lists from the beginning of its window until its last response. What both saw.
pub(super) fn run(
    load: Load,
    server: &Server,
    requests: &mut Requests,
    watchers: Option<&mut Watchers>,
    readers: Readers,
) -> (Outcome<(Seen, Costs)>, Outcome<Tally>) {
    let is_over = AtomicBool::new(false);
    let mut marks = Vec::with_capacity(2);
    let (seen, lists) = std::thread::scope(|scope| {
        let mut readers = Some(readers);
        let mut listing = None;
        let seen = load.run_beside(watchers, server.address(), requests, |_| {
            marks.push(Moment::now(&server.pids())?);
            if let Some(readers) = readers.take() {
                let is_over = || is_over.load(Ordering::Relaxed);
                listing = Some(scope.spawn(move || list(readers, is_over)));
            }
            Ok(())
        });
        is_over.store(true, Ordering::Relaxed);
        let lists = listing.map(|listing| listing.join().expect("errors are returned"));
        (seen, lists.unwrap_or_else(|| Err("the puts have ended before the lists began".to_owned())))
    });
    let seen = seen.map(|seen| {
        let [begin, end] = &marks[..] else { unreachable!("a load has two marks") };
        (seen, begin.until(end))
    });
    (seen, lists.map_err(Into::into))
}

/// Errors of any kind don't cross threads.
fn list(readers: Readers, is_over: impl Fn() -> bool) -> Result<Tally, String> {
    // On Linux this is about the calling thread alone.
    rustix::process::nice(READER_NICENESS).map_err(|error| error.to_string())?;
    readers.run(|_| is_over()).map_err(|error| error.to_string())
}

/// What clients have read; nothing where there are none.
pub(super) fn list_metrics(lists: &Tally, n_clients: usize) -> Sample {
    if n_clients == 0 {
        return Sample::new();
    }
    Sample::from([
        (Metric::ListRate, lists.bytes as f64 / 1e6 / lists.time.as_secs_f64()),
        (Metric::ListBytes, lists.bytes as f64 / 1e6),
        (Metric::Lists, lists.n_done as f64),
        (Metric::Refused, lists.n_refused as f64),
        (Metric::Dropped, lists.n_dropped as f64),
    ])
}
