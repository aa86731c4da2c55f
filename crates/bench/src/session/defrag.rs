//! Puts while a server gives the room of deleted keys back.
//!
//! ```text
//!  keys are written    nine of ten are deleted    compaction    puts, and a Defragment at the beginning of the window
//!  |-------------------|--------------------------|-------------|------------------------------------|
//! ```

use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb::{CompactionRequest, DefragmentRequest};

use super::moment::Moment;
use super::round::{LOADING_CLIENTS, MIB, Round, latencies, load_keys, window_load};
use crate::Outcome;
use crate::check::{Client, State};
use crate::load::Mark;
use crate::options::Options;
use crate::process::{Memory, Usage};
use crate::result::{Cell, Metric};
use crate::server::Server;

/// Outstanding puts.
pub(super) const CLIENTS: usize = 64;
/// Keys that are left, as one part in so many.
const KEPT_SHARE: u64 = 10;

/// Puts on a server that has much to give back.
pub(super) fn measure(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let pids = &server.pids();
    load_keys(server, options.defragmented_keys, LOADING_CLIENTS, options)?;
    let client = Client::connect(server.address())?;
    let full = client.status()?.db_size;
    client.delete_from(options.defragmented_keys / KEPT_SHARE)?;
    let before = client.state()?;
    client.call(CompactionRequest { revision: before.revision.try_into()?, physical: true })?;
    Memory::forget_peak(pids);

    let load = window_load(cell, options);
    let mut requests = cell.workload.requests(options.keys, options.value_bytes);
    let mut marks = Vec::with_capacity(2);
    let (seen, defragment_time) = std::thread::scope(|scope| {
        let mut client = Some(client);
        let mut defragmenting = None;
        let seen = load.run(server.address(), &mut requests, |mark| {
            marks.push(Moment::now(pids)?);
            if mark == Mark::Begin
                && let Some(client) = client.take()
            {
                defragmenting =
                    Some(scope.spawn(move || defragment(&client).map_err(|error| error.to_string())));
            }
            Ok(())
        })?;
        let defragmenting = defragmenting.expect("a window has a beginning");
        Outcome::Ok((seen, defragmenting.join().expect("errors are returned")?))
    })?;
    let [begin, end] = &marks[..] else { unreachable!("a load has two marks") };
    let costs = begin.until(end);
    if seen.failed == 0 {
        State::of(server.address())?.check_revision(before.revision + seen.responses)?;
    }
    let memory = Memory::of(pids)?;
    Usage::when_settled(pids)?;
    let left = Client::connect(server.address())?.status()?.db_size;

    let mut sample = latencies(&seen);
    sample.extend([
        (Metric::Defragment, defragment_time.as_secs_f64() * 1e3),
        (Metric::FileBefore, full as f64 / MIB),
        (Metric::File, left as f64 / MIB),
        (Metric::Rate, seen.responses_in_window as f64 / seen.window.as_secs_f64()),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Others, costs.others_percent()),
        (Metric::Failed, (seen.failed + seen.unsent) as f64),
    ]);
    Ok(Round { sample, failure: seen.failure() })
}

/// The time that it took.
fn defragment(client: &Client) -> Outcome<Duration> {
    let begin = Instant::now();
    client.call(DefragmentRequest {})?;
    Ok(begin.elapsed())
}
