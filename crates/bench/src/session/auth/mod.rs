//! Loads by users.
//!
//! ```text
//!  auth-put, auth-range   | without | with authentication | without |   three windows on one server
//!  auth-login-storm       |  quiet  | beside logins       |
//! ```

mod access;
mod revoke;
mod storm;

use ferretcd_api_proto::etcdserverpb::AuthDisableRequest;

use super::round::{Round, WARM_UP, measure_load, send_all, window_load};
use crate::Outcome;
use crate::check::Client;
use crate::load::{Load, Span};
use crate::options::Options;
use crate::requests::Requests;
use crate::result::{Cell, Metric};
use crate::server::Server;
use crate::workload::Workload;

/// Outstanding requests of a user that puts or reads.
const CLIENTS: [usize; 2] = [64, 1000];
/// Outstanding logins, and puts beside logins.
const LOGIN_CLIENTS: usize = 64;

/// How much longer than other windows that of warm logins is. etcd serves all of them in turns, so that the responses to
/// all clients come together, seconds apart.
const WARM_WINDOWS: u32 = 4;

/// The sizes in which a workload is measured.
pub(super) fn clients(workload: Workload, options: &Options) -> Vec<usize> {
    match workload {
        Workload::AuthPut | Workload::AuthRange => CLIENTS.to_vec(),
        Workload::AuthRevoke => vec![options.watchers],
        _ => vec![LOGIN_CLIENTS],
    }
}

/// What the server of a workload is started with.
pub(super) fn flags(workload: Workload, options: &Options) -> Vec<String> {
    let cost = || format!("--bcrypt-cost={}", options.bcrypt_cost);
    if workload.authenticates() { vec![cost()] } else { Vec::new() }
}

/// Puts one load on a server on which authentication is off.
pub(super) fn measure(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    access::prepare(server, options)?;
    match cell.workload {
        Workload::AuthLoginWarm => measure_warm_logins(server, cell, options),
        Workload::AuthLoginCold => measure_cold_logins(server, cell, options),
        Workload::AuthLoginStorm => storm::measure(server, cell, options),
        Workload::AuthRevoke => revoke::measure(server, cell, options),
        _ => measure_with_and_without(server, cell, options),
    }
}

/// The same load without, with, and again without authentication.
fn measure_with_and_without(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let mut requests = cell.workload.requests(options.keys, options.value_bytes);
    let mut phase = |client: &Client, token: Option<&str>| {
        requests.set_token(token);
        let load = window_load(cell, options);
        measure_load(server, cell.workload, load, &mut requests, &|| client.state())
    };
    let nobody = Client::connect(server.address())?;
    let first = phase(&nobody, None)?;
    let root = access::enable(server)?;
    let token = access::token(server)?;
    let Round { mut sample, failure } = phase(&root, Some(&token))?;
    root.call(AuthDisableRequest {})?;
    let last = phase(&nobody, None)?;

    let without = f64::midpoint(first.sample[&Metric::Rate], last.sample[&Metric::Rate]);
    let share = sample[&Metric::Rate] * 100.0 / without;
    sample.extend([(Metric::RateWithoutAuth, without), (Metric::OfRateWithoutAuth, share)]);
    Ok(Round { sample, failure: first.failure.or(failure).or(last.failure) })
}

/// Logins of one user that has logged in before.
fn measure_warm_logins(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    access::add_users(server, options, 1)?;
    let root = access::enable(server)?;
    send_all(server, options, 1, 1, Requests::log_in(1), "a user could not log in")?;
    let span = Span::Time { warm_up: WARM_UP, window: WARM_WINDOWS * options.window };
    let load = Load { span, ..window_load(cell, options) };
    measure_load(server, cell.workload, load, &mut Requests::log_in(1), &|| root.state())
}

/// Logins of one user after the other, until each has logged in once.
fn measure_cold_logins(server: &Server, cell: Cell, options: &Options) -> Outcome<Round> {
    let n_users = options.cold_logins;
    access::add_users(server, options, n_users)?;
    let root = access::enable(server)?;
    let load = Load { span: Span::Requests(n_users), ..window_load(cell, options) };
    measure_load(server, cell.workload, load, &mut Requests::log_in(n_users), &|| root.state())
}
