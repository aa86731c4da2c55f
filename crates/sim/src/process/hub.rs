//! The hub of a member, and the streams of its watchers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ferretcd_watch::{Delivery, HistoryResponse, Hub, Outlet, StreamId, WatchSpec};

/// Deliveries that a stream holds before its watch falls behind.
const QUEUE_MAX: usize = 4;
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) was_full: bool,
}

/// The hub's end of a queue.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueOutlet(pub(super) Rc<RefCell<Queue>>);

impl Outlet for QueueOutlet {
    fn has_room(&mut self) -> bool {
        let mut queue = self.0.borrow_mut();
        queue.was_full |= queue.deliveries.len() >= QUEUE_MAX;
        !queue.was_full
    }

    fn deliver(&mut self, delivery: Delivery) {
        self.0.borrow_mut().deliveries.push(delivery);
    }
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    pub(super) queue: QueueOutlet,
    pub(super) epoch: u64,
    pub(super) is_slow: bool,
    pub(super) is_being_read: bool,
}

#[derive(Debug)]
pub(super) struct Watches {
    pub(super) hub: Hub<QueueOutlet>,
    pub(super) streams: BTreeMap<usize, Stream>,
    pub(super) wanted: Vec<(usize, u64, WatchSpec)>,
    pub(super) history: Option<HistoryResponse>,
    pub(super) is_awake: bool,
}

impl Watches {
    pub(super) fn new(reader: ferretcd_mvcc::Reader) -> Self {
        let hub = Hub::new(reader);
        Self { hub, streams: BTreeMap::new(), wanted: Vec::new(), history: None, is_awake: false }
    }
}
