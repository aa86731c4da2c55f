//! Puts of a user beside first logins of many others.
//!
//! The logins arrive at the beginning of the window and are more than a server can verify in it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::access;
use crate::Outcome;
use crate::load::{Load, Mark, Pace, Seen, Span};
use crate::options::Options;
use crate::process::{Memory, Usage};
use crate::requests::Requests;
use crate::result::{Cell, Metric};
use crate::server::Server;
use crate::session::moment::{Costs, Moment};
use crate::session::round::{MIB, Round, p99, put_metrics, window_load};

/// Puts without logins and beside them.
pub(super) fn measure(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let pids = &server.pids();
    access::add_users(server, options, options.storm_logins)?;
    let root = access::enable(server)?;
    let mut requests = cell.workload.requests(options.keys, options.value_bytes);
    requests.set_token(Some(&access::token(server)?));
    let load = window_load(cell, options);
    Usage::when_idle(pids)?;
    let before = root.state()?;
    let quiet = load.run(server.address(), &mut requests, |_| Ok(()))?;
    if let Some(failure) = quiet.failure() {
        return Err(format!("without logins {failure}").into());
    }

    Usage::when_settled(pids)?;
    Memory::forget_peak(pids);
    let (puts, costs, logins) = put_beside_logins(server, load, &mut requests, options)?;
    let memory = Memory::of(pids)?;
    if puts.failed == 0 {
        // Logins that were given up may still take the server's time.
        Usage::when_idle(pids)?;
        before.check_after(quiet.responses + puts.responses, root.state()?)?;
    }
    let mut sample = put_metrics(&puts, &costs);
    // Without a response there is no percentile, and the longest wait stands for it.
    let beside_p99 = if puts.latencies.is_empty() { sample[&Metric::Max] } else { p99(&puts) };
    sample.extend([
        (Metric::QuietP99, p99(&quiet)),
        (Metric::TimesQuiet, beside_p99 / p99(&quiet)),
        (Metric::Logins, logins.responses_in_window as f64),
        (Metric::Refused, (logins.failed - logins.open) as f64),
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Failed, (puts.failed + puts.unsent) as f64),
    ]);
    // A server that is busy with logins may let puts wait in vain. That is a result, and no failure of the run.
    Ok(Round { sample, failure: None })
}

/// Puts, and logs all users in from the beginning of the window to its end; what both saw.
fn put_beside_logins(
    server: &Server,
    load: Load,
    requests: &mut Requests,
    options: &Options,
) -> Outcome<(Seen, Costs, Seen)> {
    let n_logins = options.storm_logins;
    let logins = Load {
        clients: n_logins.try_into()?,
        connections: options.connections,
        pace: Pace::Closed,
        span: Span::Requests(n_logins),
    };
    let mut marks = Vec::with_capacity(2);
    let is_over = AtomicBool::new(false);
    let (puts, logins) = std::thread::scope(|scope| {
        let mut logging_in = None;
        let puts = load.run(server.address(), requests, |mark| {
            marks.push(Moment::now(&server.pids())?);
            match mark {
                Mark::Begin => {
                    logging_in = Some(scope.spawn(|| log_in(logins, server.address(), &is_over)));
                }
                Mark::End => is_over.store(true, Ordering::Relaxed),
            }
            Ok(())
        });
        is_over.store(true, Ordering::Relaxed);
        let logins = logging_in.map(|logging_in| logging_in.join().expect("errors are returned"));
        Outcome::Ok((puts?, logins.expect("a window has a beginning")?))
    })?;
    let [begin, end] = &marks[..] else { unreachable!("a load has two marks") };
    Ok((puts, begin.until(end), logins))
}

/// Errors of any kind don't cross threads.
fn log_in(load: Load, address: SocketAddr, is_over: &AtomicBool) -> Result<Seen, String> {
    let mut requests = Requests::log_in(load.clients as u64);
    let is_over = || is_over.load(Ordering::Relaxed);
    load.run_until(&is_over, address, &mut requests, |_| Ok(())).map_err(|error| error.to_string())
}
