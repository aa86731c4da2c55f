//! The simulated clock, and the queue of events.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Simulated time: microseconds since the start of the run.
pub(crate) type Micros = u64;

/// A millisecond.
pub(crate) const MS: Micros = 1_000;

/// Future events, by time; those of the same time happen in the order in which they were scheduled. The
/// clock is always at the last event taken out.
#[derive(Debug)]
pub(crate) struct EventQueue<T> {
    now: Micros,
    n_entered: u64,
    events: BTreeMap<(Micros, u64), T>,
    /// Stands for time 0 where code under test wants an `Instant`. Only differences matter there.
    start: Instant,
}

impl<T> EventQueue<T> {
    /// An empty one at time 0.
    pub(crate) fn new() -> Self {
        Self { now: 0, n_entered: 0, events: BTreeMap::new(), start: Instant::now() }
    }

    /// The time.
    pub(crate) fn now(&self) -> Micros {
        self.now
    }

    /// The time, as code under test takes it.
    pub(crate) fn instant(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }

    /// Schedules an event for `delay` from now.
    pub(crate) fn schedule(&mut self, delay: Micros, event: T) {
        self.n_entered += 1;
        self.events.insert((self.now + delay, self.n_entered), event);
    }

    /// Takes out the next event, if it is before `end`, and sets the clock.
    pub(crate) fn next_before(&mut self, end: Micros) -> Option<T> {
        let next = self.events.first_entry().filter(|next| next.key().0 < end)?;
        self.now = next.key().0;
        Some(next.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_happen_by_time_and_then_in_the_order_of_entry() {
        let mut events = EventQueue::new();
        events.schedule(5, "b");
        events.schedule(5, "c");
        events.schedule(1, "a");
        events.schedule(9, "never");
        let happened: Vec<_> = std::iter::from_fn(|| events.next_before(9)).collect();
        assert_eq!((happened, events.now()), (vec!["a", "b", "c"], 5));
    }
}
