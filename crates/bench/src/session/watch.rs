//! Loads with watchers.

use std::time::{Duration, Instant};

use super::moment::{Costs, Moment};
use super::round::{LOADING_CLIENTS, MIB, Round, WARM_UP, latencies};
use crate::Outcome;
use crate::check::State;
use crate::load::{Load, Pace, Seen, Span};
use crate::options::Options;
use crate::process::{Memory, Usage};
use crate::requests::{Protocol, Requests};
use crate::result::{Cell, Metric, Sample};
use crate::server::Server;
use crate::watch::{Plan, Reading, Subject, Waited, Watchers};
use crate::workload::Workload;

/// Events are awaited no longer than this after the last put.
pub(super) const DELIVERY_TIME_MAX: Duration = Duration::from_secs(15);
/// Watchers whose creation is not what is measured are awaited this long.
const CREATE_TIME_MAX: Duration = Duration::from_secs(20);
/// Watchers that read all history are given this long.
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(20);
/// When nothing has arrived for so long, nothing will.
pub(super) const QUIET: Duration = Duration::from_secs(10);
/// When nothing has arrived for so long, streams without a window have what they take.
const STALLED: Duration = Duration::from_secs(1);
/// The first revision that a put can have.
const FIRST_REVISION: i64 = 2;
/// Connections of watchers, and streams of watchers that share them.
pub(super) const CONNECTIONS: usize = 10;
const IDLE_STREAMS: usize = 100;
const IDLE_CONNECTIONS: usize = 100;

/// The sizes in which a workload is measured: of those without writers the watchers, of the others the writers.
pub(super) fn clients(workload: Workload, options: &Options) -> Vec<usize> {
    match workload {
        Workload::Watch | Workload::GatewayWatch => vec![1, 64],
        Workload::WatchCatchup => vec![1, 10, 100],
        Workload::WatchIdle | Workload::WatchIdleStreams => vec![options.idle_watchers],
        _ => vec![64],
    }
}

/// Puts one load on the server. One that needs much history finds a store that was opened, not one that was just
/// written.
pub(super) fn measure(server: &mut Server, cell: Cell, options: &Options) -> Outcome<Round> {
    if cell.workload.needs_history() {
        server.crash_and_restart()?;
    }
    let plan = plan(cell, options);
    match cell.workload {
        Workload::Watch | Workload::WatchKeys | Workload::GatewayWatch => {
            measure_delivery(server, cell, options, &plan)
        }
        Workload::WatchCatchup => measure_catch_up(server, &plan),
        Workload::WatchIdle | Workload::WatchIdleStreams => measure_idle(server, options, &plan),
        _ => measure_loss(server, cell, options, plan),
    }
}

/// The watchers of a workload.
fn plan(cell: Cell, options: &Options) -> Plan {
    let plan = Plan {
        protocol: Protocol::Grpc,
        connections: CONNECTIONS,
        streams: options.watchers,
        watches: 1,
        subject: Subject::Everything,
        start_revision: 0,
        reading: Reading::Always,
    };
    let behind = Plan { start_revision: FIRST_REVISION, ..plan };
    let share = |watchers: usize, streams: usize| {
        let streams = streams.min(watchers);
        Plan { streams, watches: watchers.div_ceil(streams), subject: Subject::OwnKey, ..plan }
    };
    match cell.workload {
        Workload::Watch => Plan { subject: Subject::OneKey, ..plan },
        Workload::GatewayWatch => Plan { protocol: Protocol::Http1, subject: Subject::OneKey, ..plan },
        Workload::WatchKeys => share(options.watchers, CONNECTIONS),
        Workload::WatchCatchup => Plan { streams: cell.clients, ..behind },
        Workload::WatchBehind => behind,
        Workload::WatchStalled => Plan { reading: Reading::Never, ..behind },
        Workload::WatchFlood => Plan { reading: Reading::Never, ..plan },
        Workload::WatchIdle => share(cell.clients, IDLE_STREAMS),
        Workload::WatchIdleStreams => {
            Plan { connections: IDLE_CONNECTIONS, ..share(cell.clients, cell.clients) }
        }
        other => unreachable!("{} has no watchers", other.name()),
    }
}

/// Puts while clients watch the same keys.
fn measure_delivery(server: &Server, cell: Cell, options: &Options, plan: &Plan) -> Outcome<Round> {
    let pids = &server.pids();
    let before = State::of(server.address())?;
    Usage::when_settled(pids)?;
    Memory::forget_peak(pids);
    let mut watchers = Watchers::open(server.address(), plan)?;
    watchers.await_created()?;

    // One key is written over one connection, as by one process.
    let (connections, keys, each) = match plan.subject {
        Subject::OneKey => (1, 1, watchers.len() as u64),
        _ => (options.connections, watchers.len() as u64, 1),
    };
    let mut requests = Requests::stamped(keys, options.value_bytes);
    let (seen, costs) = put(server, cell.clients, connections, options, &mut requests, Some(&mut watchers))?;
    let expected = seen.responses * each;
    let waited = watchers.until(DELIVERY_TIME_MAX, QUIET, |tally| tally.n_events() >= expected)?;
    let memory = Memory::of(pids)?;
    let tally = watchers.tally();
    if seen.failed == 0 {
        let revision = before.revision + seen.responses;
        State::of(server.address())?.check_revision(revision)?;
    }

    let mut sample = latencies(&seen);
    let micros = |quantile| tally.delays().value_at_quantile(quantile) as f64 / 1e3;
    sample.extend([
        (Metric::DelayP50, micros(0.5)),
        (Metric::DelayP99, micros(0.99)),
        (Metric::DelayMax, micros(1.0)),
        (Metric::Undelivered, percent(expected.saturating_sub(tally.n_events()), expected)),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
    ]);
    sample.extend(put_metrics(&seen, &costs));
    sample.extend(event_metrics(&watchers, tally.n_in_window(), seen.window, &costs));
    let failure = seen.failure().or_else(|| failure(&watchers, expected, waited));
    Ok(Round { sample, failure })
}

/// Lets clients read all history, and nothing else.
fn measure_catch_up(server: &Server, plan: &Plan) -> Outcome<Round> {
    let pids = &server.pids();
    let state = State::of(server.address())?;
    Usage::when_settled(pids)?;
    Memory::forget_peak(pids);

    let each = state.revision + 1 - FIRST_REVISION.unsigned_abs();
    let expected = each * plan.streams as u64;
    let (begin, start) = (Moment::now(pids)?, Instant::now());
    let mut watchers = Watchers::open(server.address(), plan)?;
    // Between two batches etcd can be quiet for long, so that only slowness is reported, as what is undelivered.
    let waited =
        watchers.until(CATCH_UP_TIME_MAX, CATCH_UP_TIME_MAX, |tally| tally.n_events() >= expected)?;
    let time = start.elapsed();
    let costs = begin.until(&Moment::now(pids)?);
    let memory = Memory::of(pids)?;

    let n_events = watchers.tally().n_events();
    let mut sample = event_metrics(&watchers, n_events, time, &costs);
    sample.extend([
        (Metric::Undelivered, percent(expected.saturating_sub(n_events), expected)),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Others, costs.others_percent()),
        (Metric::Failed, 0.0),
    ]);
    Ok(Round { sample, failure: failure(&watchers, expected, waited) })
}

/// Puts without, with, and again without the watchers.
fn measure_loss(server: &Server, cell: Cell, options: &Options, plan: Plan) -> Outcome<Round> {
    let pids = &server.pids();
    let mut requests = cell.workload.requests(options.keys, options.value_bytes);
    let mut phase = |watchers: Option<&mut Watchers>| {
        Usage::when_settled(pids)?;
        let before = State::of(server.address())?;
        let (seen, costs) = put(server, cell.clients, options.connections, options, &mut requests, watchers)?;
        if seen.failed == 0 {
            State::of(server.address())?.check_revision(before.revision + seen.responses)?;
        }
        Outcome::Ok((seen, costs))
    };
    let (first, _) = phase(None)?;

    let revision = i64::try_from(State::of(server.address())?.revision)?;
    let start_revision = if plan.start_revision == 0 { revision + 1 } else { plan.start_revision };
    let before = Usage::when_settled(pids).and_then(|_| Memory::of(pids))?;
    Memory::forget_peak(pids);
    let mut watchers = Watchers::open(server.address(), &Plan { start_revision, ..plan })?;
    // A server that serves the watchers that are behind may have no time to create others.
    let n_watchers = watchers.len();
    watchers.until(CREATE_TIME_MAX, CREATE_TIME_MAX, |tally| tally.n_created() == n_watchers)?;
    let created = watchers.tally().n_created();
    if plan.reading == Reading::Never && plan.start_revision != 0 {
        watchers.until(CATCH_UP_TIME_MAX, STALLED, |_| false)?;
    }
    let (seen, costs) = phase(Some(&mut watchers))?;
    let memory = Memory::of(pids)?;
    let fault = watchers.tally().fault().map(str::to_owned);
    let n_in_window = watchers.tally().n_in_window();
    let mut sample = latencies(&seen);
    sample.extend(put_metrics(&seen, &costs));
    sample.extend(event_metrics(&watchers, n_in_window, seen.window, &costs));
    drop(watchers);

    let (last, _) = phase(None)?;
    let without = f64::midpoint(rate(&first), rate(&last));
    sample.extend([
        (Metric::Confirmed, percent(created as u64, n_watchers as u64)),
        (Metric::RateWithout, without),
        (Metric::Loss, (1.0 - rate(&seen) / without) * 100.0),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Growth, memory.peak.saturating_sub(before.resident) as f64 / MIB),
    ]);
    // A server that is busy with watchers may let requests time out. That is a loss, and no failure of the run.
    let failure = first.failure().or(fault);
    Ok(Round { sample, failure })
}

/// Creates watchers and looks at the memory that they take. Then each gets one event.
fn measure_idle(server: &Server, options: &Options, plan: &Plan) -> Outcome<Round> {
    let pids = &server.pids();
    // The first watcher brings the code into memory that all of them share.
    Watchers::open(server.address(), &Plan { streams: 1, watches: 1, ..*plan })?.await_created()?;
    Usage::when_settled(pids)?;
    let before = Memory::of(pids)?;
    let begin = Instant::now();
    let mut watchers = Watchers::open(server.address(), plan)?;
    watchers.await_created()?;
    let time = begin.elapsed();
    Usage::when_settled(pids)?;
    let memory = Memory::of(pids)?;

    let mut requests = Requests::stamped(watchers.len() as u64, options.value_bytes);
    let failure = put_each(server, options, &mut requests, &mut watchers)?;
    let n_watchers_f = watchers.len() as f64;
    let sample = Sample::from([
        (Metric::Created, n_watchers_f / time.as_secs_f64()),
        (Metric::BytesPerWatcher, memory.resident.saturating_sub(before.resident) as f64 / n_watchers_f),
        (Metric::Memory, memory.resident as f64 / MIB),
        (Metric::AnonymousMemory, memory.anonymous as f64 / MIB),
        (Metric::Failed, 0.0),
    ]);
    Ok(Round { sample, failure })
}

/// Puts the key of each watcher once. What went wrong with the puts or their events, if anything did.
pub(super) fn put_each(
    server: &Server,
    options: &Options,
    requests: &mut Requests,
    watchers: &mut Watchers,
) -> Outcome<Option<String>> {
    let n_watchers = watchers.len() as u64;
    let load = Load {
        clients: LOADING_CLIENTS,
        connections: options.connections,
        pace: Pace::Closed,
        span: Span::Requests(n_watchers),
    };
    let seen = load.run_beside(Some(watchers), server.address(), requests, |_| Ok(()))?;
    let waited = watchers.until(DELIVERY_TIME_MAX, QUIET, |tally| tally.n_events() >= n_watchers)?;
    Ok(seen.failure().or_else(|| failure(watchers, n_watchers, waited)))
}

/// Puts for the measured time; what it has cost.
fn put(
    server: &Server,
    clients: usize,
    connections: usize,
    options: &Options,
    requests: &mut Requests,
    watchers: Option<&mut Watchers>,
) -> Outcome<(Seen, Costs)> {
    let load = Load {
        clients,
        connections,
        pace: Pace::Closed,
        span: Span::Time { warm_up: WARM_UP, window: options.window },
    };
    let mut marks = Vec::with_capacity(2);
    let seen = load.run_beside(watchers, server.address(), requests, |_| {
        marks.push(Moment::now(&server.pids())?);
        Ok(())
    })?;
    let [begin, end] = &marks[..] else { unreachable!("a load has two marks") };
    Ok((seen, begin.until(end)))
}

fn put_metrics(seen: &Seen, costs: &Costs) -> Sample {
    Sample::from([
        (Metric::Rate, rate(seen)),
        (Metric::Others, costs.others_percent()),
        (Metric::Failed, (seen.failed + seen.unsent) as f64),
    ])
}

/// Of `n_events` that arrived in `time`.
fn event_metrics(watchers: &Watchers, n_events: u64, time: Duration, costs: &Costs) -> Sample {
    let events = (Metric::Events, n_events as f64 / time.as_secs_f64());
    if n_events == 0 {
        return Sample::from([events]);
    }
    let n = n_events as f64;
    let n_in_all = watchers.tally().n_events() as f64;
    Sample::from([
        events,
        (Metric::EventCpu, costs.server * 1e6 / n),
        (Metric::EventGeneratorCpu, costs.generator * 1e6 / n),
        (Metric::EventBytes, watchers.received() as f64 / n_in_all),
    ])
}

fn rate(seen: &Seen) -> f64 {
    seen.responses_in_window as f64 / seen.window.as_secs_f64()
}

pub(super) fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// What went wrong with the events, if anything did. Slowness is not wrong.
pub(super) fn failure(watchers: &Watchers, expected: u64, waited: Waited) -> Option<String> {
    let tally = watchers.tally();
    let n_events = tally.n_events();
    match tally.fault() {
        Some(fault) => Some(fault.to_owned()),
        None if n_events > expected => Some(format!("{n_events} events arrived of {expected}")),
        None if waited == Waited::Quiet => Some(format!("{n_events} events of {expected}, and no more came")),
        None => None,
    }
}
