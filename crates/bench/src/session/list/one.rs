//! One client that lists, and nothing else.

use std::time::Instant;

use super::data::Data;
use super::pages;
use crate::Outcome;
use crate::lists::{Readers, Reading, Tally};
use crate::options::Options;
use crate::process::{Memory, Usage};
use crate::requests::Requests;
use crate::result::{Cell, Metric, Sample};
use crate::server::Server;
use crate::session::moment::{Costs, Moment};
use crate::session::round::{MIB, Round};

/// Lists one after the other on a server that has not listed before.
pub(super) fn measure(server: &mut Server, cell: Cell, options: &Options) -> Outcome<Round> {
    server.crash_and_restart()?;
    let pids = &server.pids();
    let data = Data::of(cell.workload, options);
    // Fills the caches of the rows, so that the memory that a list adds is that of the list.
    pages::walk(server, &mut Requests::pages(data.keys, data.value_bytes, 0), data.keys)?;
    Usage::when_idle(pids)?;
    let before = Memory::of(pids)?;
    Memory::forget_peak(pids);

    let readers = Readers::open(server.address(), cell.clients, data.list(cell.workload), Reading::Always)?;
    let (begin, start) = (Moment::now(pids)?, Instant::now());
    let has_ended = |lists: &Tally| lists.n_done + lists.n_refused + lists.n_failed > 0;
    let lists = readers.run(|lists| start.elapsed() >= options.window && has_ended(lists))?;
    if lists.n_done == 0 {
        return Err(lists.fault.unwrap_or_else(|| "every list was refused".to_owned()).into());
    }
    let costs = begin.until(&Moment::now(pids)?);
    let memory = Memory::of(pids)?;
    let mut sample = list_metrics(&lists, &costs);
    sample.extend([
        (Metric::PeakMemory, memory.peak as f64 / MIB),
        (Metric::Growth, memory.peak.saturating_sub(before.resident) as f64 / MIB),
    ]);
    Ok(Round { sample, failure: lists.fault })
}

fn list_metrics(lists: &Tally, costs: &Costs) -> Sample {
    let millis = |quantile| lists.first_bytes.value_at_quantile(quantile) as f64 / 1e6;
    // The last list was given up, and only a part of its cost has come.
    let n_lists = lists.bytes as f64 / (lists.done_bytes as f64 / lists.n_done as f64);
    Sample::from([
        (Metric::FirstByte, millis(0.5)),
        (Metric::FirstByteMax, millis(1.0)),
        (Metric::ListRate, lists.done_bytes as f64 / 1e6 / lists.done_time.as_secs_f64()),
        (Metric::Lists, lists.n_done as f64),
        (Metric::ServerCpu, costs.server * 1e6 / n_lists),
        (Metric::Refused, lists.n_refused as f64),
        (Metric::Others, costs.others_percent()),
        (Metric::Failed, lists.n_failed as f64),
    ])
}
