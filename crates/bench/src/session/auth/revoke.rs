//! Watches that lose their permission.

use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb::AuthUserRevokeRoleRequest;

use super::access::{self, ROLE, USER};
use crate::Outcome;
use crate::check::Client;
use crate::options::Options;
use crate::process::Memory;
use crate::requests::{Protocol, Requests};
use crate::result::{Cell, Metric, Sample};
use crate::server::Server;
use crate::session::round::{MIB, Round};
use crate::session::watch::{CONNECTIONS, percent, put_each};
use crate::watch::{Plan, Reading, Subject, Tally, Waited, Watchers};

/// The end of watches is awaited this long after their permission was revoked.
const CANCEL_TIME_MAX: Duration = Duration::from_secs(10);

/// Revokes the role that permits watches which have delivered an event each.
pub(super) fn measure(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let pids = &server.pids();
    Memory::forget_peak(pids);
    let root = access::enable(server)?;
    let token = access::token(server)?;
    let plan = Plan {
        protocol: Protocol::Grpc,
        connections: CONNECTIONS,
        streams: cell.clients,
        watches: 1,
        subject: Subject::OwnKey,
        start_revision: 0,
        reading: Reading::Always,
    };
    let mut watchers = Watchers::open_as(Some(&token), server.address(), &plan)?;
    watchers.await_created()?;
    let n_watchers = watchers.len();
    let mut requests = Requests::stamped(n_watchers as u64, options.value_bytes);
    requests.set_token(Some(&token));
    if let Some(failure) = put_each(server, options, &mut requests, &mut watchers)? {
        return Err(failure.into());
    }

    let begin = Instant::now();
    let (waited, time, revoke_time) = std::thread::scope(|scope| {
        let revoking = scope.spawn(move || revoke(&root, begin).map_err(|error| error.to_string()));
        let is_done = |tally: &Tally| tally.n_canceled() == n_watchers;
        let waited = watchers.until(CANCEL_TIME_MAX, CANCEL_TIME_MAX, is_done)?;
        let time = begin.elapsed();
        Outcome::Ok((waited, time, revoking.join().expect("errors are returned")?))
    })?;
    let n_left = n_watchers.saturating_sub(watchers.tally().n_canceled());
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let mut sample = Sample::from([
        (Metric::Revoke, millis(revoke_time)),
        (Metric::Left, percent(n_left as u64, n_watchers as u64)),
        (Metric::PeakMemory, Memory::of(pids)?.peak as f64 / MIB),
        (Metric::Failed, 0.0),
    ]);
    if waited == Waited::Done {
        sample.insert(Metric::CanceledAfter, millis(time));
    }
    // The first watch that ends is noted as a fault, with the reason.
    let fault = watchers.tally().fault().filter(|fault| !fault.contains("permission denied"));
    Ok(Round { sample, failure: fault.map(str::to_owned) })
}

/// Revokes the role of the watches; the time from `begin` until that is done.
fn revoke(root: &Client, begin: Instant) -> Outcome<Duration> {
    root.call(AuthUserRevokeRoleRequest { name: USER.to_owned(), role: ROLE.to_owned() })?;
    Ok(begin.elapsed())
}
