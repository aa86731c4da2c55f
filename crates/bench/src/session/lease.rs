//! Loads with leases.
//!
//! ```text
//!  lease-expiry   grants    puts of keys     first deadline   last deadline            gone, or given up
//!                 |---------|----------------|................|------------------------|
//!                 |------------- TTL --------|                what is looked for: keys that are left
//!                                            |<---------- window of the puts ---------->|
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::moment::Moment;
use super::round::{MIB, Round, latencies, send_all, window_load};
use crate::check::{Client, State};
use crate::load::{Load, Mark, Pace, Seen, Span};
use crate::options::Options;
use crate::process::{Memory, Usage};
use crate::requests::{Requests, lease_id};
use crate::result::{Cell, Metric};
use crate::server::Server;
use crate::workload::Workload;
use crate::{Outcome, pause};

/// Outstanding requests while leases are granted and get their keys, and at most while leases end.
const CLIENTS: usize = 1000;
/// Outstanding puts while a lease is revoked.
const REVOKE_CLIENTS: usize = 64;
/// Of leases that are renewed, in seconds; longer than a load.
const RENEWED_TTL: u64 = 600;
/// Of the lease that is revoked; longer than its keys take.
const REVOKED_TTL: u64 = 3600;
/// Puts per second while leases end, unless the command line has a schedule.
const PUT_RATE: f64 = 1000.0;
/// After the last deadline leased keys are awaited this long.
const GONE_TIME_MAX: Duration = Duration::from_secs(60);
/// They are looked for this often.
const LOOK_TIME: Duration = Duration::from_millis(200);

/// The sizes in which a workload is measured.
pub(super) fn clients(workload: Workload, options: &Options) -> Vec<usize> {
    match workload {
        Workload::LeaseKeepAlive => options.clients.clone(),
        Workload::LeaseExpiry => vec![CLIENTS],
        _ => vec![REVOKE_CLIENTS],
    }
}

/// Puts one load on a server that has nothing stored.
pub(super) fn measure(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    match cell.workload {
        Workload::LeaseKeepAlive => {
            let n_leases = cell.clients as u64;
            let grants = Requests::grant(n_leases, RENEWED_TTL);
            send_all(server, options, CLIENTS, n_leases, grants, "leases were not granted")?;
            super::round::measure(server, cell, options)
        }
        Workload::LeaseExpiry => measure_expiry(server, cell, options),
        _ => measure_revoke(server, cell, options),
    }
}

/// Grants leases with a key each, abandons them, and puts until their keys are gone.
fn measure_expiry(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let pids = &server.pids();
    let n_leases = options.leases;
    let empty = State::of(server.address())?;
    Usage::when_settled(pids)?;
    let before = Memory::of(pids)?;
    Memory::forget_peak(pids);

    let ttl = Duration::from_secs(options.lease_ttl);
    let first_deadline = Instant::now() + ttl;
    let grants = Requests::grant(n_leases, options.lease_ttl);
    let granted = send_all(server, options, CLIENTS, n_leases, grants, "leases were not granted")?;
    let last_deadline = Instant::now() + ttl;
    let puts = Requests::attach(n_leases, options.value_bytes);
    send_all(
        server,
        options,
        CLIENTS,
        n_leases,
        puts,
        "keys were not attached, perhaps because their leases had ended",
    )?;
    Usage::when_settled(pids)?;
    let resting = Memory::of(pids)?;
    let client = Client::connect(server.address())?;
    let n_attached = client.count_leased()?;
    let warm_up = first_deadline.saturating_duration_since(Instant::now());
    if warm_up.is_zero() {
        return Err(
            "leases ended before all were granted and had keys; --lease-ttl makes them live longer".into()
        );
    }
    if n_attached != n_leases {
        return Err(format!("{n_attached} of {n_leases} keys are there although no lease has ended").into());
    }

    let wave = Wave { warm_up, last_deadline };
    let (seen, fate, others) = wave.put(server, client, cell, options)?;
    let memory = Memory::of(pids)?;
    if fate.left == 0 && seen.failed == 0 {
        // Each lease took its key away at a revision of its own.
        let revision = empty.revision + 2 * n_leases + seen.responses;
        State::of(server.address())?.check_is(State { revision, keys: empty.keys + seen.responses })?;
    }

    let mut sample = latencies(&seen);
    sample.extend([
        (Metric::Granted, granted.responses as f64 / granted.window.as_secs_f64()),
        (Metric::BytesPerLease, resting.resident.saturating_sub(before.resident) as f64 / n_leases as f64),
        (Metric::Gone, fate.time.as_secs_f64()),
        (Metric::Left, fate.left as f64 * 100.0 / n_leases as f64),
        (Metric::Rate, seen.responses_in_window as f64 / seen.window.as_secs_f64()),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Others, others),
        (Metric::Failed, (seen.failed + seen.unsent) as f64),
    ]);
    // A server that is busy with the ending of leases may let puts wait in vain. That is a result, and no failure of
    // the run.
    Ok(Round { sample, failure: None })
}

/// The ending of many leases.
#[derive(Clone, Copy, Debug)]
struct Wave {
    /// Until the first deadline.
    warm_up: Duration,
    last_deadline: Instant,
}

/// What became of the leased keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate {
    /// From the last deadline until all were gone, or until they were waited for no longer.
    time: Duration,
    /// Keys that were left then.
    left: u64,
}

impl Wave {
    /// Puts on a schedule until the leased keys are gone; what was seen, what became of them, and the share of
    /// others.
    fn put(
        self,
        server: &Server,
        client: Client,
        cell: Cell,
        options: &Options,
    ) -> Outcome<(Seen, Fate, f64)> {
        let waited_max = self.last_deadline.saturating_duration_since(Instant::now()) + GONE_TIME_MAX;
        let window_max = 2 * waited_max;
        let load = Load {
            clients: cell.clients,
            connections: options.connections,
            pace: Pace::Open(options.open_loop.unwrap_or(PUT_RATE)),
            // The check of the leases ends the window; slow responses must not end it before.
            span: Span::Time { warm_up: self.warm_up, window: window_max },
        };
        let mut requests = cell.workload.requests(options.keys, options.value_bytes);
        let mut marks = Vec::with_capacity(2);
        let is_over = AtomicBool::new(false);
        let (seen, fate) = std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let fate = watch_fate(self.last_deadline, &is_over, || client.count_leased());
                is_over.store(true, Ordering::Relaxed);
                // Errors of any kind don't cross threads.
                fate.map_err(|error| error.to_string())
            });
            let over = || is_over.load(Ordering::Relaxed);
            let seen = load.run_until(&over, server.address(), &mut requests, |_| {
                marks.push(Moment::now(&server.pids())?);
                Ok(())
            });
            is_over.store(true, Ordering::Relaxed);
            let fate = looking.join().expect("errors are returned");
            Outcome::Ok((seen?, fate?))
        })?;
        let [begin, end] = &marks[..] else { unreachable!("a load has two marks") };
        Ok((seen, fate, begin.until(end).others_percent()))
    }
}

/// Looks how many leased keys are left from the last deadline on, until none are, it has taken too long, or
/// `is_over` is set.
fn watch_fate(
    last_deadline: Instant,
    is_over: &AtomicBool,
    mut count: impl FnMut() -> Outcome<u64>,
) -> Outcome<Fate> {
    loop {
        let rest = last_deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() || is_over.load(Ordering::Relaxed) {
            break;
        }
        pause(rest.min(LOOK_TIME));
    }
    loop {
        let left = count()?;
        let time = last_deadline.elapsed();
        if left == 0 || time >= GONE_TIME_MAX || is_over.load(Ordering::Relaxed) {
            return Ok(Fate { time, left });
        }
        pause(LOOK_TIME);
    }
}

/// Puts while a lease with many keys is revoked, at the beginning of the window.
fn measure_revoke(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let pids = &server.pids();
    let n_keys = options.leased_keys;
    send_all(server, options, CLIENTS, 1, Requests::grant(1, REVOKED_TTL), "the lease was not granted")?;
    let puts = Requests::attach_to_one(n_keys, options.value_bytes);
    send_all(server, options, CLIENTS, n_keys, puts, "keys were not attached")?;
    let client = Client::connect(server.address())?;
    let n_attached = client.count_leased()?;
    if n_attached != n_keys {
        return Err(format!("{n_attached} of {n_keys} keys are there").into());
    }
    Usage::when_settled(pids)?;
    Memory::forget_peak(pids);
    let before = State::of(server.address())?;

    let load = window_load(cell, options);
    let mut requests = cell.workload.requests(options.keys, options.value_bytes);
    let mut marks = Vec::with_capacity(2);
    let (seen, revoke_time) = std::thread::scope(|scope| {
        let mut client = Some(client);
        let mut revoking = None;
        let seen = load.run(server.address(), &mut requests, |mark| {
            marks.push(Moment::now(pids)?);
            if mark == Mark::Begin
                && let Some(client) = client.take()
            {
                revoking = Some(scope.spawn(move || revoke(&client).map_err(|error| error.to_string())));
            }
            Ok(())
        })?;
        let revoking = revoking.expect("a window has a beginning");
        Outcome::Ok((seen, revoking.join().expect("errors are returned")?))
    })?;
    let [begin, end] = &marks[..] else { unreachable!("a load has two marks") };
    let costs = begin.until(end);
    let memory = Memory::of(pids)?;
    if seen.failed == 0 {
        let (revision, keys) = (before.revision + seen.responses + 1, before.keys + seen.responses);
        State::of(server.address())?.check_is(State { revision, keys })?;
    }

    let mut sample = latencies(&seen);
    sample.extend([
        (Metric::Revoke, revoke_time.as_secs_f64() * 1e3),
        (Metric::Rate, seen.responses_in_window as f64 / seen.window.as_secs_f64()),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Others, costs.others_percent()),
        (Metric::Failed, (seen.failed + seen.unsent) as f64),
    ]);
    Ok(Round { sample, failure: seen.failure() })
}

/// Revokes the lease; the time that it took.
fn revoke(client: &Client) -> Outcome<Duration> {
    let begin = Instant::now();
    client.revoke(lease_id(0))?;
    let time = begin.elapsed();
    match client.count_leased()? {
        0 => Ok(time),
        left => Err(format!("{left} keys are left of a lease that was revoked").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(counts: &[u64], last_deadline: Instant, is_over: bool) -> Outcome<Fate> {
        let mut counts = counts.iter().copied();
        watch_fate(last_deadline, &AtomicBool::new(is_over), || counts.next().ok_or("no more counts".into()))
    }

    #[test]
    fn keys_are_awaited_until_they_are_gone_or_time_is_up() {
        let now = Instant::now();
        assert_eq!(fate(&[2, 1, 0, 5], now, false).unwrap().left, 0);
        assert!(fate(&[2, 1], now, false).is_err());
        // Long after the deadline, or without a caller that waits for it.
        let past = now.checked_sub(GONE_TIME_MAX).unwrap();
        let late = fate(&[7, 0], past, false).unwrap();
        assert!(late.left == 7 && late.time >= GONE_TIME_MAX, "{late:?}");
        assert_eq!(fate(&[7, 0], now + GONE_TIME_MAX, true).unwrap(), Fate { time: Duration::ZERO, left: 7 });
    }
}
