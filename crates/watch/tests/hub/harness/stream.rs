//! The client's side: its queue, and what it knows of its watches.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ferretcd_watch::{CreateError, Delivery, Outlet, StreamId, WatchId, WatchSpec};

/// A stream's queue. It counts bytes until they are drained and has no room above its capacity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue(Rc<RefCell<QueueState>>);

#[derive(Debug, Default)]
struct QueueState {
    /// Not yet checked.
    fresh: Vec<Delivery>,
    bytes: usize,
    capacity: usize,
    /// The owner has to call `resume`.
    was_full: bool,
}

impl Outlet for Queue {
    fn has_room(&mut self) -> bool {
        let mut state = self.0.borrow_mut();
        let has_room = state.bytes < state.capacity;
        state.was_full |= !has_room;
        has_room
    }

    fn deliver(&mut self, delivery: Delivery) {
        let mut state = self.0.borrow_mut();
        if let Delivery::Events(batch) = &delivery {
            state.bytes += batch.events.as_bytes().len();
        }
        state.fresh.push(delivery);
    }
}

impl Queue {
    pub(super) fn set_capacity(&self, capacity: usize) {
        self.0.borrow_mut().capacity = capacity;
    }

    pub(super) fn drain(&self) {
        self.0.borrow_mut().bytes = 0;
    }

    /// Whether the stream has to be resumed. True once.
    pub(super) fn take_was_full(&self) -> bool {
        let mut state = self.0.borrow_mut();
        let has_room = state.bytes < state.capacity;
        has_room && std::mem::take(&mut state.was_full)
    }

    /// Whether the hub has forgotten it.
    pub(super) fn is_forgotten(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }
}

/// A client's knowledge of its stream.
pub(crate) struct Stream {
    pub(super) id: StreamId,
    pub(super) queue: Queue,
    pub(super) requires_leader: bool,
    pub(super) has_ended: bool,
    pub(super) watches: BTreeMap<WatchId, Watch>,
    /// Where the hub looks for a free id first.
    pub(super) next_id: WatchId,
    /// Progress was requested and must be delivered.
    pub(super) is_owed_progress: bool,
    /// All deliveries so far, for the tests that look at them.
    pub(super) seen: Vec<Delivery>,
}

impl Stream {
    pub(super) fn new(id: StreamId, queue: Queue, requires_leader: bool) -> Self {
        Self {
            id,
            queue,
            requires_leader,
            has_ended: false,
            watches: BTreeMap::new(),
            next_id: 0,
            is_owed_progress: false,
            seen: Vec::new(),
        }
    }

    /// The watches that have not ended.
    pub(super) fn live(&self) -> impl Iterator<Item = &Watch> {
        self.watches.values().filter(|watch| !watch.has_ended)
    }

    pub(super) fn was_full(&self) -> bool {
        self.queue.0.borrow().was_full
    }

    pub(super) fn take_fresh(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.queue.0.borrow_mut().fresh)
    }

    /// Takes the first fresh delivery, which must be `expected`.
    pub(super) fn take_response(&mut self, expected: Delivery) {
        let mut queue = self.queue.0.borrow_mut();
        assert_eq!(queue.fresh.first(), Some(&expected));
        queue.fresh.remove(0);
        self.seen.push(expected);
    }

    pub(super) fn choose_id(&mut self, spec: &WatchSpec) -> Result<WatchId, CreateError> {
        match spec.id {
            _ if spec.range.is_empty() => Err(CreateError::EmptyRange),
            0 => {
                let id = (self.next_id..).find(|id| !self.watches.contains_key(id)).unwrap();
                self.next_id = id + 1;
                Ok(id)
            }
            id if self.watches.contains_key(&id) => Err(CreateError::DuplicateId),
            id => Ok(id),
        }
    }
}

pub(crate) struct Watch {
    pub(super) spec: WatchSpec,
    /// The first revision that it wants.
    pub(super) start: i64,
    /// Everything up to this revision was delivered; at first, nothing up to it is wanted.
    pub(super) received: i64,
    /// Ended by a compaction.
    pub(super) has_ended: bool,
    /// No events since the last tick.
    pub(super) is_quiet: bool,
}
