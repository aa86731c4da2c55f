//! Loads with large lists, counts and pages. What they read lies beside the keys that puts write, so that it stays the
//! same.

mod beside;
mod counts;
mod data;
mod events;
mod group;
mod one;
mod pages;

pub(super) use self::data::fill;
use super::round::Round;
use crate::Outcome;
use crate::options::Options;
use crate::result::Cell;
use crate::server::Server;
use crate::workload::Workload;

/// The sizes in which a workload is measured: of puts beside lists the clients that list.
pub(super) fn clients(workload: Workload, options: &Options) -> Vec<usize> {
    match workload {
        Workload::ListBeside
        | Workload::ListStalled
        | Workload::ListUnread
        | Workload::ClusterListBeside
        | Workload::ClusterListStalled => options.lists.clone(),
        Workload::ListGroup | Workload::ListGroupStream => vec![group::CLIENTS],
        Workload::EventBeside => vec![0, events::LISTING_CLIENTS],
        _ => vec![1],
    }
}

/// Puts one load on the server.
pub(super) fn measure(server: &mut Server, cell: Cell, options: &Options) -> Outcome<Round> {
    match cell.workload {
        Workload::ListOne | Workload::ListOneStream => one::measure(server, cell, options),
        Workload::ListGroup | Workload::ListGroupStream => group::measure(server, cell, options),
        Workload::EventBeside => events::measure(server, cell, options),
        Workload::Count | Workload::CountBeside | Workload::CountOld | Workload::CountOldBeside => {
            counts::measure(server, cell, options)
        }
        Workload::Pages | Workload::PagesFixed => pages::measure(server, cell, options),
        _ => beside::measure(server, cell, options),
    }
}
