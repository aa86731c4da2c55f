//! One load on a running server, and what it costs.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::moment::{Costs, Moment};
use crate::Outcome;
use crate::check::State;
use crate::load::{Load, Mark, Pace, Seen, Span};
use crate::options::Options;
use crate::process::{Memory, Usage};
use crate::requests::Requests;
use crate::result::{Cell, Metric, Sample};
use crate::server::Server;
use crate::workload::Workload;

/// Load before the window, so that connections, caches and the server's heap are warm.
pub(super) const WARM_UP: Duration = Duration::from_millis(500);
/// Outstanding requests while keys are loaded.
pub(super) const LOADING_CLIENTS: usize = 64;
pub(super) const MIB: f64 = 1_048_576.0;

/// What came of one load.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) sample: Sample,
    /// What went wrong, if anything did.
    pub(crate) failure: Option<String>,
}

/// Load for a window, as the options have it.
pub(super) fn window_load(cell: Cell, options: &Options) -> Load {
    Load {
        clients: cell.clients,
        connections: options.connections,
        pace: options.open_loop.map_or(Pace::Closed, Pace::Open),
        span: Span::Time { warm_up: WARM_UP, window: options.window },
    }
}

/// Puts the load of a workload on the server.
pub(super) fn measure(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let mut requests = cell.workload.requests(options.keys, options.value_bytes);
    let state = || State::of(server.address());
    measure_load(server, cell.workload, window_load(cell, options), &mut requests, &state)
}

/// Puts one load on the server and looks at it from all sides. `state` is asked for before and after it.
pub(super) fn measure_load(
    server: &Server,
    workload: Workload,
    load: Load,
    requests: &mut Requests,
    state: &dyn Fn() -> Outcome<State>,
) -> Outcome<Round> {
    let pids = &server.pids();
    let before = state()?;
    Usage::when_settled(pids)?;
    Memory::forget_peak(pids);
    let peer_bytes = if workload.members() > 1 { server.peer_bytes()? } else { 0.0 };

    let mut marks = Vec::with_capacity(2);
    let seen = load.run(server.address(), requests, |mark| {
        debug_assert_eq!(mark == Mark::Begin, marks.is_empty());
        marks.push(Moment::now(pids)?);
        Ok(())
    })?;
    let [begin, end] = &marks[..] else { unreachable!("a load has two marks") };
    let costs = begin.until(end);
    let settled = Usage::when_settled(pids)?;
    let memory = Memory::of(pids)?;
    check(before, state()?, workload, &seen)?;

    let responses = seen.responses_in_window.max(1) as f64;
    let mut sample = latencies(&seen);
    sample.extend([
        (Metric::Rate, seen.responses_in_window as f64 / seen.window.as_secs_f64()),
        (Metric::ServerCpu, costs.server * 1e6 / responses),
        (Metric::GeneratorCpu, costs.generator * 1e6 / responses),
        (
            Metric::Written,
            (settled.written_bytes - begin.usage.written_bytes) as f64
                / 1.024
                / seen.responses_since_window.max(1) as f64,
        ),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Others, costs.others_percent()),
        (Metric::Failed, (seen.failed + seen.unsent) as f64),
    ]);
    if workload.members() > 1 {
        let sent = server.peer_bytes()? - peer_bytes;
        sample.insert(Metric::PeerBytes, sent / seen.responses.max(1) as f64);
    }
    Ok(Round { sample, failure: seen.failure() })
}

/// Writes the keys `0..keys` and makes sure that they are there.
pub(super) fn load_keys(server: &Server, keys: u64, clients: usize, options: &Options) -> Outcome<Seen> {
    let before = State::of(server.address())?;
    let puts = Requests::put(keys, options.value_bytes);
    let seen = send_all(server, options, clients, keys, puts, "keys were not loaded")?;
    before.check_after(keys, State::of(server.address())?)?;
    Ok(seen)
}

/// Sends `n` requests as fast as responses come; an error when any of them fails. `what` says what that means.
pub(super) fn send_all(
    server: &Server,
    options: &Options,
    clients: usize,
    n: u64,
    mut requests: Requests,
    what: &str,
) -> Outcome<Seen> {
    let span = Span::Requests(n);
    let load = Load { clients, connections: options.connections, pace: Pace::Closed, span };
    let seen = load.run(server.address(), &mut requests, |_| Ok(()))?;
    match seen.failure() {
        None => Ok(seen),
        Some(failure) => Err(format!("{what}: {failure}").into()),
    }
}

/// Did the store change as the responses said? Unknown after failures: a write without a response may
/// have happened.
fn check(before: State, after: State, workload: Workload, seen: &Seen) -> Outcome<()> {
    if seen.failed > 0 {
        return Ok(());
    }
    before.check_after(if workload.keeps_keys() { 0 } else { seen.responses }, after)
}

/// Of puts that have to bear with something else. The maximum is also over those that have failed, which have waited
/// longest.
pub(super) fn put_metrics(puts: &Seen, costs: &Costs) -> Sample {
    let n_responses = puts.responses_in_window;
    let mut sample = latencies(puts);
    let failed_after = puts.failed_after.map_or(0.0, |(_, longest)| longest.as_secs_f64() * 1e6);
    sample.entry(Metric::Max).and_modify(|max| *max = max.max(failed_after));
    sample.extend([
        (Metric::Rate, n_responses as f64 / puts.window.as_secs_f64()),
        (Metric::Others, costs.others_percent()),
    ]);
    sample
}

/// The 99th percentile of latencies in microseconds.
pub(super) fn p99(seen: &Seen) -> f64 {
    seen.latencies.value_at_quantile(0.99) as f64 / 1e3
}

/// The latencies of requests.
pub(super) fn latencies(seen: &Seen) -> Sample {
    use Metric::{Max, P50, P90, P99, P999};
    quantiles(&seen.latencies, [(P50, 0.5), (P90, 0.9), (P99, 0.99), (P999, 0.999), (Max, 1.0)])
}

/// The times in microseconds within which these shares of the requests had their responses.
pub(super) fn quantiles<const N: usize>(latencies: &Histogram<u64>, shares: [(Metric, f64); N]) -> Sample {
    shares.map(|(metric, share)| (metric, latencies.value_at_quantile(share) as f64 / 1e3)).into()
}
