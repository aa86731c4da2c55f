//! Watches on a member: creation, turns of the hub, and reading of the streams.

use ferretcd_watch::WatchSpec;

use super::Process;
use super::hub::{Queue, QueueOutlet, Stream, Watches};
use super::timer::Timer;
use crate::event::SimEvent;
use crate::event_queue::MS;
use crate::workload::WatcherStep;
use crate::world::World;

/// How long deliveries travel. Always the same, so that they arrive in order.
const TRAVEL: u64 = 300;

impl Process {
    /// A watcher watches here from now on, on a stream of its own. Returns the revision at this moment.
    pub(crate) fn watch(&mut self, watcher: usize, epoch: u64, spec: WatchSpec, world: &mut World) -> i64 {
        self.watches.wanted.push((watcher, epoch, spec));
        self.wake_watches(world);
        self.machine.revision()
    }

    /// A watcher does not watch here any more.
    pub(crate) fn unwatch(&mut self, watcher: usize) {
        if let Some(stream) = self.watches.streams.remove(&watcher) {
            self.watches.hub.close(stream.id);
        }
    }

    /// There may be something to deliver.
    pub(super) fn wake_watches(&mut self, world: &mut World) {
        if !std::mem::replace(&mut self.watches.is_awake, true) {
            let delay = world.random.below(2 * MS);
            self.set_timer(delay, Timer::Watches, world);
        }
    }

    /// Delivers what there is to deliver.
    pub(super) fn turn_watches(&mut self, world: &mut World) {
        self.watches.is_awake = false;
        let turned = self.turn_hub(world);
        match turned {
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
            self.set_timer(delay, Timer::ReadStream(watcher), world);
        }
    }

    /// One turn, as the engine's thread for it makes them. Returns whether there is more to do.
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
        if let Some(response) = history.take() {
            hub.supply(response)?;
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
        let (epoch, step) = (stream.epoch, WatcherStep::Received(deliveries));
        world.events.schedule(TRAVEL, SimEvent::Watcher { watcher, epoch, step });
        self.wake_watches(world);
    }
}
