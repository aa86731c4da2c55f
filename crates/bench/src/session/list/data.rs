//! What the loads find.

use crate::Outcome;
use crate::check::Client;
use crate::load::{Load, Pace, Span};
use crate::options::Options;
use crate::requests::{Method, Requests};
use crate::server::Server;
use crate::workload::Workload;

/// Bytes of a value that is listed: with its key and the rest of its row a little more than 1 KiB.
const LISTED_VALUE_BYTES: usize = 1024;
/// Bytes of a value that is only counted.
const COUNTED_VALUE_BYTES: usize = 8;
/// Keys of a list beside events.
const EVENT_LISTED_KEYS: u64 = 5000;
/// Outstanding transactions while keys are loaded.
const LOADING_CLIENTS: usize = 20;
/// Outstanding puts beside lists.
pub(super) const PUT_CLIENTS: usize = 64;

/// Keys that are read, and the length of their values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) keys: u64,
    pub(super) value_bytes: usize,
}

impl Data {
    pub(super) fn of(workload: Workload, options: &Options) -> Self {
        let (keys, value_bytes) = match workload {
            Workload::Count
            | Workload::CountBeside
            | Workload::CountOld
            | Workload::CountOldBeside
            | Workload::Metrics => (options.counted_keys, COUNTED_VALUE_BYTES),
            Workload::ListGroup | Workload::ListGroupStream => (options.group_keys, LISTED_VALUE_BYTES),
            Workload::EventBeside => (EVENT_LISTED_KEYS, LISTED_VALUE_BYTES),
            _ => (options.listed_keys, LISTED_VALUE_BYTES),
        };
        Self { keys, value_bytes }
    }

    /// The lists of a workload.
    pub(super) fn list(self, workload: Workload) -> Requests {
        let method = match workload {
            Workload::ListOneStream | Workload::ListGroupStream => Method::RangeStream,
            _ => Method::Range,
        };
        Requests::list_first(method, self.keys, self.value_bytes)
    }

    /// How many of the first keys are written a second time before all are counted.
    pub(super) fn n_rewritten(self) -> u64 {
        (self.keys / 10).max(1)
    }

    /// How many of the last keys are deleted before all are counted.
    pub(super) fn n_deleted(self) -> u64 {
        self.keys / 100
    }
}

/// Writes what a workload reads, unless it is there.
pub(in crate::session) fn fill(server: &mut Server, workload: Workload, options: &Options) -> Outcome<()> {
    let data = Data::of(workload, options);
    let client = Client::connect(server.address())?;
    if client.count_listed(0)? > 0 {
        return Ok(());
    }
    put_in_batches(server, data.keys, data, options)?;
    let n_listed = client.count_listed(0)?;
    if n_listed != data.keys {
        return Err(format!("{n_listed} of {} keys are there", data.keys).into());
    }
    if data.value_bytes == COUNTED_VALUE_BYTES {
        change(server, &client, data, options)?;
    }
    // Lists find a store that was opened, as other reads do.
    server.crash_and_restart().map(drop)
}

/// Puts the listed keys `0..keys`, many with each request.
fn put_in_batches(server: &Server, keys: u64, data: Data, options: &Options) -> Outcome<()> {
    let mut requests = Requests::put_listed_in_batches(keys, data.value_bytes);
    let span = Span::Requests(requests.n_for(keys));
    let load = Load { clients: LOADING_CLIENTS, connections: options.connections, pace: Pace::Closed, span };
    match load.run(server.address(), &mut requests, |_| Ok(()))?.failure() {
        None => Ok(()),
        Some(failure) => Err(format!("keys were not loaded: {failure}").into()),
    }
}

/// Changes what was loaded: old revisions differ from the present one in what is counted, and keys have more than one
/// revision.
fn change(server: &Server, client: &Client, data: Data, options: &Options) -> Outcome<()> {
    put_in_batches(server, data.n_rewritten(), data, options)?;
    client.delete_listed_from(data.keys - data.n_deleted())
}
