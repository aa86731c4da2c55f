//! The hub of a member, and the streams of those who watch there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ferretcd_watch::{Delivery, HistoryResponse, Hub, Outlet, StreamId, WatchSpec};

use super::{Alarm, Process};
use crate::agenda::MS;
use crate::workload::WatcherStep;
use crate::world::{Happening, World};

/// Deliveries that a stream holds before its watch falls behind.
const QUEUE_MAX: usize = 4;
/// How long deliveries travel. Always the same, so that they arrive in order.
const TRAVEL: u64 = 300;

#[derive(Debug, Default)]
struct Queue {
    deliveries: Vec<Delivery>,
    was_full: bool,
}

/// The hub's end of a queue.
#[derive(Clone, Debug, Default)]
struct QueueOutlet(Rc<RefCell<Queue>>);

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
struct Stream {
    id: StreamId,
    queue: QueueOutlet,
    epoch: u64,
    is_slow: bool,
    is_being_read: bool,
}

#[derive(Debug)]
pub(super) struct Watches {
    hub: Hub<QueueOutlet>,
    streams: BTreeMap<usize, Stream>,
    wanted: Vec<(usize, u64, WatchSpec)>,
    history: Option<HistoryResponse>,
    is_awake: bool,
}

impl Watches {
    pub(super) fn new(reader: ferretcd_mvcc::Reader) -> Self {
        let hub = Hub::new(reader);
        Self { hub, streams: BTreeMap::new(), wanted: Vec::new(), history: None, is_awake: false }
    }
}

impl Process {
    /// Somebody watches here from now on, on a stream of its own. Returns the revision at this moment.
    pub(crate) fn watch(&mut self, watcher: usize, epoch: u64, spec: WatchSpec, world: &mut World) -> i64 {
        self.watches.wanted.push((watcher, epoch, spec));
        self.wake_watches(world);
        self.machine.revision()
    }

    /// Somebody does not watch here any more.
    pub(crate) fn unwatch(&mut self, watcher: usize) {
        if let Some(stream) = self.watches.streams.remove(&watcher) {
            self.watches.hub.close(stream.id);
        }
    }

    /// There may be something to tell.
    pub(super) fn wake_watches(&mut self, world: &mut World) {
        if !std::mem::replace(&mut self.watches.is_awake, true) {
            let delay = world.random.below(2 * MS);
            self.alarm(delay, Alarm::Watches, world);
        }
    }

    /// Tells what there is to tell.
    pub(super) fn tell_watches(&mut self, world: &mut World) {
        self.watches.is_awake = false;
        let told = self.turn_hub(world);
        match told {
            Ok(true) => self.wake_watches(world),
            Ok(false) => {}
            Err(error) => world.failed(self.id, &error),
        }
        let mut reading = Vec::new();
        for (watcher, stream) in &mut self.watches.streams {
            let is_empty = stream.queue.0.borrow().deliveries.is_empty();
            if !is_empty && !std::mem::replace(&mut stream.is_being_read, true) {
                reading.push((*watcher, if stream.is_slow { 700 * MS } else { 10 * MS }));
            }
        }
        for (watcher, pause_max) in reading {
            let delay = world.random.below(pause_max);
            self.alarm(delay, Alarm::ReadStream(watcher), world);
        }
    }

    /// One turn, as the engine's thread for it makes them. Says whether there is more to do.
    fn turn_hub(&mut self, world: &mut World) -> Result<bool, ferretcd_mvcc::ReadError> {
        let Watches { hub, streams, wanted, history, .. } = &mut self.watches;
        hub.advance()?;
        for (watcher, epoch, spec) in wanted.drain(..) {
            let queue = QueueOutlet::default();
            let id = hub.open(queue.clone(), false);
            hub.create(id, spec);
            let is_slow = world.random.chance(30);
            let stream = Stream { id, queue, epoch, is_slow, is_being_read: false };
            if let Some(old) = streams.insert(watcher, stream) {
                hub.close(old.id);
            }
        }
        if let Some(answer) = history.take() {
            hub.supply(answer)?;
        }
        let has_more = hub.catch_up()?;
        if let Some(request) = hub.wanted() {
            *history = Some(request.read(&self.machine.reader()));
            return Ok(true);
        }
        Ok(has_more)
    }

    /// The reader of a stream takes what there is.
    pub(super) fn read_stream(&mut self, watcher: usize, world: &mut World) {
        let Some(stream) = self.watches.streams.get_mut(&watcher) else { return };
        stream.is_being_read = false;
        let Queue { deliveries, was_full } = stream.queue.0.take();
        if was_full {
            self.watches.hub.resume(stream.id);
        }
        if world.random.chance(20) {
            self.watches.hub.progress(stream.id);
        }
        let (epoch, step) = (stream.epoch, WatcherStep::Told(deliveries));
        world.agenda.after(TRAVEL, Happening::Watcher { watcher, epoch, step });
        self.wake_watches(world);
    }
}
