//! A put and its event beside clients that list.

use super::beside;
use super::data::{Data, PUT_CLIENTS, fill};
use crate::Outcome;
use crate::check::State;
use crate::lists::Readers;
use crate::load::{Load, Pace};
use crate::options::Options;
use crate::process::{Memory, Usage};
use crate::requests::{Protocol, Requests};
use crate::result::{Cell, Metric};
use crate::server::Server;
use crate::session::round::{MIB, Round, put_metrics, window_load};
use crate::session::watch::{DELIVERY_TIME_MAX, QUIET, failure};
use crate::watch::{Plan, Subject, Watchers};
use crate::{lists, watch};

/// Clients that list.
pub(super) const LISTING_CLIENTS: usize = 10;
/// Puts per second, unless the command line has a schedule. On a schedule, because puts that wait for each other would
/// mostly fall into the moments in which the server is free.
const PUT_RATE: f64 = 100.0;

/// Puts to one key while one client watches it.
pub(super) fn measure(server: &mut Server, cell: Cell, options: &Options) -> Outcome<Round> {
    fill(server, cell.workload, options)?;
    let pids = &server.pids();
    Usage::when_idle(pids)?;
    let before = State::of(server.address())?;
    Memory::forget_peak(pids);
    let plan = Plan {
        protocol: Protocol::Grpc,
        connections: 1,
        streams: 1,
        watches: 1,
        subject: Subject::OneKey,
        start_revision: 0,
        reading: watch::Reading::Always,
    };
    let mut watchers = Watchers::open(server.address(), &plan)?;
    watchers.await_created()?;
    let list = Data::of(cell.workload, options).list(cell.workload);
    let readers = Readers::open(server.address(), cell.clients, list, lists::Reading::Always)?;
    let pace = Pace::Open(options.open_loop.unwrap_or(PUT_RATE));
    let load = Load { clients: PUT_CLIENTS, connections: 1, pace, ..window_load(cell, options) };
    let mut requests = Requests::stamped(1, options.value_bytes);
    let (puts, lists) = beside::run(load, server, &mut requests, Some(&mut watchers), readers);
    let ((puts, costs), lists) = (puts?, lists?);
    let expected = puts.responses;
    let waited = watchers.until(DELIVERY_TIME_MAX, QUIET, |tally| tally.n_events() >= expected)?;
    let memory = Memory::of(pids)?;
    if puts.failed == 0 {
        State::of(server.address())?.check_revision(before.revision + puts.responses)?;
    }

    let micros = |quantile| watchers.tally().delays().value_at_quantile(quantile) as f64 / 1e3;
    let mut sample = put_metrics(&puts, &costs);
    sample.extend(beside::list_metrics(&lists, cell.clients));
    sample.extend([
        (Metric::DelayP50, micros(0.5)),
        (Metric::DelayP99, micros(0.99)),
        (Metric::DelayMax, micros(1.0)),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Failed, (puts.failed + puts.unsent + lists.n_failed) as f64),
    ]);
    let failure = puts.failure().or(lists.fault).or_else(|| failure(&watchers, expected, waited));
    Ok(Round { sample, failure })
}
