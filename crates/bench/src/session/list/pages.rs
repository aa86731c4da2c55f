//! All keys page by page, as clients with much to read do, and in one list.

use std::time::Instant;

use super::data::Data;
use crate::Outcome;
use crate::check::State;
use crate::load::{Load, Pace, Seen, Span};
use crate::options::Options;
use crate::process::{Memory, Usage};
use crate::requests::{Method, Requests};
use crate::result::{Cell, Metric, median};
use crate::server::Server;
use crate::session::round::{MIB, Round, latencies};
use crate::workload::Workload;

/// Both ways are taken at least so often.
const ROUNDS_MIN: usize = 3;

/// Both ways in turn, for the time of a window at least.
pub(super) fn measure(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let pids = &server.pids();
    let Data { keys, value_bytes } = Data::of(cell.workload, options);
    let revision = match cell.workload {
        Workload::PagesFixed => State::of(server.address())?.revision.try_into()?,
        _ => 0,
    };
    let mut pages = Requests::pages(keys, value_bytes, revision);
    let mut list = Requests::list_first(Method::Range, keys, value_bytes);
    // The first of each finds cold caches.
    let mut all = walk(server, &mut pages, keys)?;
    walk(server, &mut list, 1)?;
    all.latencies.reset();
    Usage::when_idle(pids)?;
    Memory::forget_peak(pids);

    let begin = Instant::now();
    let (mut walks, mut passes) = (Vec::new(), Vec::new());
    while walks.len() < ROUNDS_MIN || begin.elapsed() < options.window {
        let seen = walk(server, &mut pages, keys)?;
        all.latencies.add(&seen.latencies)?;
        walks.push(seen.window.as_secs_f64() * 1e3);
        passes.push(walk(server, &mut list, 1)?.window.as_secs_f64() * 1e3);
    }
    let mut sample = latencies(&all);
    sample.extend([
        (Metric::Walk, median(&walks)),
        (Metric::Pass, median(&passes)),
        (Metric::TimesPass, median(&walks) / median(&passes)),
        (Metric::PeakMemory, Memory::of(pids)?.peak as f64 / MIB),
        (Metric::Failed, 0.0),
    ]);
    Ok(Round { sample, failure: None })
}

/// Sends what it takes for so many keys, one request after the other; an error when a response is wrong.
pub(super) fn walk(server: &Server, requests: &mut Requests, keys: u64) -> Outcome<Seen> {
    let span = Span::Requests(requests.n_for(keys));
    let load = Load { clients: 1, connections: 1, pace: Pace::Closed, span };
    let seen = load.run(server.address(), requests, |_| Ok(()))?;
    match seen.failure() {
        None => Ok(seen),
        Some(failure) => Err(failure.into()),
    }
}
