//! Loads on a cluster in which one member has a slow disk.
//!
//! ```text
//!  puts ───► fast 2 ┐
//!  reads ──► fast 2 │   the leader is the slow one, or fast 1;
//!  reads ──► fast 1 ├── all four loads go on at the same time
//!  reads ──► slow   ┘
//! ```

use std::net::SocketAddr;
use std::thread::ScopedJoinHandle;

use super::round::{LOADING_CLIENTS, Round, latencies, load_keys, quantiles, window_load};
use crate::Outcome;
use crate::check::State;
use crate::load::{Load, Pace, Seen};
use crate::options::Options;
use crate::requests::Requests;
use crate::result::{Cell, Metric};
use crate::server::{SLOW, Server};
use crate::workload::Workload;

/// Members with fast disks. The first one leads unless the slow one does, the second one takes the puts.
const FAST: [usize; 2] = [1, 2];
/// Requests per second of each load, unless the command line has a schedule.
const RATE: f64 = 500.0;
/// Outstanding requests of each load at most.
pub(super) const CLIENTS: usize = 500;
/// Keys that are read; few, because they are written to the slow disk.
const KEYS: u64 = 1000;

/// Puts and reads on a schedule.
pub(super) fn measure(server: &mut Server, cell: Cell, options: &Options) -> Outcome<Round> {
    server.lead(if cell.workload == Workload::ClusterSlowLeader { SLOW } else { FAST[0] })?;
    server.query_member(FAST[1]);
    load_keys(server, KEYS, LOADING_CLIENTS, options)?;
    let (before, term) = (State::of(server.address())?, server.term()?);
    let pace = Pace::Open(options.open_loop.unwrap_or(RATE));
    let load = Load { pace, ..window_load(cell, options) };
    let reads = || Workload::ClusterRange.requests(KEYS, options.value_bytes);
    let [puts, mut read, other_read, slow_read] = std::thread::scope(|scope| {
        let puts = cell.workload.requests(KEYS, options.value_bytes);
        let loads = [(FAST[1], puts), (FAST[0], reads()), (FAST[1], reads()), (SLOW, reads())];
        let running = loads.map(|(number, requests)| {
            let address = server.address_of(number);
            scope.spawn(move || run(load, address, requests))
        });
        collect(running)
    })?;
    let elections = server.term()? - term;
    if puts.failed == 0 {
        before.check_after(puts.responses, State::of(server.address())?)?;
    }
    let loads = [
        ("puts", &puts),
        ("reads through fast 1", &read),
        ("reads through fast 2", &other_read),
        ("reads through slow", &slow_read),
    ];
    let failure = failure(&loads);
    let failed: u64 = loads.iter().map(|(_, seen)| seen.failed + seen.unsent).sum();
    read.latencies.add(&other_read.latencies)?;
    let mut sample = latencies(&puts);
    for (seen, [p50, p99, max]) in [
        (&read, [Metric::ReadP50, Metric::ReadP99, Metric::ReadMax]),
        (&slow_read, [Metric::SlowReadP50, Metric::SlowReadP99, Metric::SlowReadMax]),
    ] {
        sample.extend(quantiles(&seen.latencies, [(p50, 0.5), (p99, 0.99), (max, 1.0)]));
    }
    sample.extend([
        (Metric::Rate, puts.responses_in_window as f64 / puts.window.as_secs_f64()),
        (Metric::Elections, elections as f64),
        (Metric::Failed, failed as f64),
    ]);
    Ok(Round { sample, failure })
}

/// What went wrong with any of these loads, if anything did.
fn failure(loads: &[(&str, &Seen)]) -> Option<String> {
    let text = loads.iter().filter_map(|(name, seen)| Some(format!("{name}: {}", seen.failure()?)));
    text.reduce(|all, next| format!("{all}; {next}"))
}

/// Errors of any kind don't cross threads.
fn run(load: Load, address: SocketAddr, mut requests: Requests) -> Result<Seen, String> {
    load.run(address, &mut requests, |_| Ok(())).map_err(|error| error.to_string())
}

fn collect<const N: usize>(
    running: [ScopedJoinHandle<'_, Result<Seen, String>>; N],
) -> Result<[Seen; N], String> {
    // All of them come to an end before the first error is reported.
    let ended = running.map(|load| load.join().expect("errors are returned"));
    let seen: Vec<Seen> = ended.into_iter().collect::<Result<_, _>>()?;
    Ok(seen.try_into().expect("there are as many as were started"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hdrhistogram::Histogram;

    use super::*;

    fn seen(failed: u64, unsent: u64) -> Seen {
        Seen {
            latencies: Histogram::new(3).expect("three digits are possible"),
            window: Duration::ZERO,
            responses_in_window: 0,
            responses_since_window: 0,
            responses: 0,
            failed,
            open: 0,
            failed_after: None,
            unsent,
        }
    }

    #[test]
    fn a_failure_of_any_load_is_one_of_the_run() {
        let (good, wrong, late) = (seen(0, 0), seen(2, 0), seen(0, 3));
        assert_eq!(failure(&[("puts", &good), ("reads", &good)]), None);
        let text = failure(&[("puts", &wrong), ("reads", &good), ("slow reads", &late)]);
        let text = text.expect("two of three have failed");
        assert!(text.starts_with("puts: 0 requests were answered and 2 failed; slow reads: "), "{text}");
    }
}
