//! Did every watcher get every event once and in order, and how late?

use std::time::Instant;

use hdrhistogram::Histogram;

use super::message::{Event, Response};
use super::plan::Subject;
use crate::requests::{PREFIX, key_number};
use crate::stamp;

/// Counts events.
#[derive(Debug)]
pub(crate) struct Tally {
    subject: Subject,
    /// By watcher: the version or the revision of the event that has to come next.
    next: Vec<i64>,
    n_created: usize,
    n_canceled: usize,
    n_events: u64,
    n_before_window: u64,
    n_in_window: u64,
    /// As stamps.
    window: Option<(u64, u64)>,
    delays: Histogram<u64>,
    /// The first thing that must not happen.
    fault: Option<String>,
}

impl Tally {
    /// Of watchers whose first events have the version or revision `first`.
    pub(super) fn new(subject: Subject, n_watchers: usize, first: i64) -> Self {
        let hour_ns = 3_600_000_000_000;
        Self {
            subject,
            next: vec![first; n_watchers],
            n_created: 0,
            n_canceled: 0,
            n_events: 0,
            n_before_window: 0,
            n_in_window: 0,
            window: None,
            delays: Histogram::new_with_bounds(1, hour_ns, 3).expect("the bounds are in order"),
            fault: None,
        }
    }

    /// Watchers that the server has confirmed.
    pub(crate) fn n_created(&self) -> usize {
        self.n_created
    }

    /// Watchers that the server has ended. For most loads that is a fault.
    pub(crate) fn n_canceled(&self) -> usize {
        self.n_canceled
    }

    /// Events that have arrived.
    pub(crate) fn n_events(&self) -> u64 {
        self.n_events
    }

    /// Events that arrived in the window.
    pub(crate) fn n_in_window(&self) -> u64 {
        self.n_in_window
    }

    /// Nanoseconds from the sending of a put until its event had been read, of puts that were sent in the window.
    pub(crate) fn delays(&self) -> &Histogram<u64> {
        &self.delays
    }

    /// What happened that must not, if anything did.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Events from now on are in the window.
    pub(crate) fn open_window(&mut self, now: Instant) {
        self.window = Some((stamp::nanos(now), u64::MAX));
        self.n_before_window = self.n_events;
    }

    /// Events from now on are not.
    pub(crate) fn close_window(&mut self, now: Instant) {
        if let Some((_, end)) = &mut self.window {
            *end = stamp::nanos(now);
        }
        self.n_in_window = self.n_events - self.n_before_window;
    }

    /// Takes in an event that was read at `now`, as in [`stamp::nanos`].
    pub(super) fn event(&mut self, watcher: usize, event: &Event<'_>, now: u64) {
        self.n_events += 1;
        let (key, place) = match self.subject {
            Subject::OneKey => (Some(0), event.version),
            Subject::OwnKey => (Some(watcher as u64), event.version),
            Subject::Everything => (None, event.mod_revision),
        };
        let expected = self.next[watcher];
        self.next[watcher] = place + 1;
        if place != expected {
            self.fail(|| format!("watcher {watcher} got {place} where {expected} comes next"));
        }
        let is_its_matter = match key {
            Some(key) => key_number(event.key) == Some(key),
            None => event.key.starts_with(PREFIX.as_bytes()),
        };
        if event.is_delete || !is_its_matter {
            self.fail(|| format!("watcher {watcher} was told about something that is not its matter"));
        }
        if let Some((begin, end)) = self.window
            && self.subject != Subject::Everything
            && let Some(sent) = stamp::read(event.value)
            && (begin..end).contains(&sent)
        {
            self.delays.saturating_record(now.saturating_sub(sent));
        }
    }

    /// The server has confirmed a watcher.
    pub(super) fn created(&mut self) {
        self.n_created += 1;
    }

    /// Takes in the rest of a message.
    pub(super) fn response(&mut self, response: &Response) {
        if response.created {
            self.created();
        }
        self.n_canceled += usize::from(response.canceled);
        if response.canceled {
            let Response { watch_id, compact_revision, reason, .. } = response;
            self.fail(|| {
                format!("watch {watch_id} was canceled, compacted at {compact_revision}, reason: {reason}")
            });
        }
    }

    fn fail(&mut self, fault: impl FnOnce() -> String) {
        self.fault.get_or_insert_with(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a watcher of three an event of `key` at this version and revision.
    fn fault(subject: Subject, watcher: usize, events: &[(&str, i64, i64)]) -> Option<String> {
        let mut tally = Tally::new(subject, 3, 1);
        for (key, version, mod_revision) in events {
            let event = Event {
                key: key.as_bytes(),
                version: *version,
                mod_revision: *mod_revision,
                ..Event::default()
            };
            tally.event(watcher, &event, 0);
        }
        assert_eq!(tally.n_events(), events.len() as u64);
        tally.fault
    }

    #[test]
    fn each_event_once_and_in_order() {
        let (zero, two) = ("bench/000000000000", "bench/000000000002");
        assert_eq!(fault(Subject::OneKey, 2, &[(zero, 1, 5), (zero, 2, 9)]), None);
        assert_eq!(fault(Subject::OwnKey, 2, &[(two, 1, 5), (two, 2, 9)]), None);
        assert_eq!(fault(Subject::Everything, 2, &[(two, 1, 1), (zero, 1, 2)]), None);
        for (subject, events) in [
            (Subject::OneKey, &[(zero, 1, 5), (zero, 3, 9)][..]),
            (Subject::OneKey, &[(zero, 1, 5), (zero, 1, 5)]),
            (Subject::OneKey, &[(two, 1, 5)]),
            (Subject::OwnKey, &[(zero, 1, 5)]),
            (Subject::Everything, &[(zero, 1, 1), (zero, 2, 3)]),
            (Subject::Everything, &[("other", 1, 1)]),
        ] {
            assert!(fault(subject, 2, events).is_some(), "{subject:?} {events:?}");
        }
    }

    #[test]
    fn watchers_that_the_server_ends_are_counted() {
        let mut tally = Tally::new(Subject::OwnKey, 3, 1);
        let mut response = Response::default();
        response.created = true;
        tally.response(&response);
        assert_eq!((tally.n_created(), tally.n_canceled(), tally.fault()), (1, 0, None));
        response = Response::default();
        response.canceled = true;
        for reason in ["permission denied", "another"] {
            response.reason = reason.to_owned();
            tally.response(&response);
        }
        assert_eq!(tally.n_canceled(), 2);
        assert!(tally.fault().is_some_and(|fault| fault.contains("permission denied")));
    }

    #[test]
    fn delays_count_from_the_stamp_of_puts_in_the_window() {
        let mut tally = Tally::new(Subject::OneKey, 1, 1);
        let begin = Instant::now();
        let at = |micros| begin + std::time::Duration::from_micros(micros);
        tally.open_window(at(100));
        for (version, sent) in [(1, 50), (2, 150), (3, 250)] {
            let value = stamp::write(at(sent));
            let event = Event { key: b"bench/000000000000", version, value: &value, ..Event::default() };
            tally.event(0, &event, stamp::nanos(at(sent + 30)));
            if version == 2 {
                tally.close_window(at(200));
            }
        }
        assert_eq!((tally.fault(), tally.n_events(), tally.n_in_window()), (None, 3, 2));
        assert_eq!(tally.delays().len(), 1);
        assert!(tally.delays().max().abs_diff(30_000) < 100);
    }
}
