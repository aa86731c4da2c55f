//! Compares the events that a watch received with those that it had to receive.

use std::mem;

use super::history::{Event, History, Seen};
use super::record::{Record, is_same};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Revisions that were delivered, or covered by progress, come again.
    #[error("go on in order: revision {revision} comes behind {position}")]
    Repeated {
        /// Of the event.
        revision: i64,
        /// Up to where everything had been delivered.
        position: i64,
    },
    /// The events of one revision come in another order than they happened.
    #[error("keep the order within revision {revision}")]
    Disorder {
        /// Of the events.
        revision: i64,
    },
    /// An event was left out.
    #[error("tell revision {revision}")]
    Missing {
        /// Of the event.
        revision: i64,
    },
    /// Nothing like it has happened, or the watch does not select it.
    #[error("stay with the facts: {event}")]
    Invented {
        /// The event.
        event: String,
    },
    /// A response ends within a revision.
    #[error("tell revision {revision} as a whole")]
    Torn {
        /// Of the events.
        revision: i64,
    },
    /// Progress overtakes events.
    #[error("tell revision {missing} before progress of {revision}")]
    Bookmark {
        /// Of the progress.
        revision: i64,
        /// Of the first event that was overtaken.
        missing: i64,
    },
    /// The row before an event is wrong, or is there without having been requested.
    #[error("tell the row before revision {revision}: got {got}")]
    Previous {
        /// Of the event.
        revision: i64,
        /// The row that was received.
        got: String,
    },
    /// The header of a response with events doesn't fit.
    #[error("give revision {last} a proper header: {header}")]
    Header {
        /// Its revision.
        header: i64,
        /// The last event below it.
        last: i64,
    },
    /// A compaction is given as the reason to end a watch that it did not concern.
    #[error("go on at {position}: compacted up to {compacted}, asked for was {requested}")]
    Ended {
        /// Up to where everything had been delivered.
        position: i64,
        /// The compacted revision in the response.
        compacted: i64,
        /// The newest compaction.
        requested: i64,
    },
    /// Something comes between the fragments of one response.
    #[error("finish the fragments of a response: {seen}")]
    Interrupted {
        /// The interruption.
        seen: String,
    },
}

/// Checks a history of a watch that was followed until the store had the revision `end`. Returns the number of events.
pub fn check(record: &Record, history: &History, end: i64) -> Result<usize, Violation> {
    let position = if history.request.start > 0 { history.request.start - 1 } else { history.floor };
    let is_begun = history.request.start > 0;
    let mut check = Check {
        record,
        history,
        position,
        is_begun,
        floor: None,
        n_events: 0,
        fragments: Vec::new(),
        header: 0,
    };
    for seen in &history.seen {
        check.step(seen)?;
    }
    match check.missing(end) {
        Some(revision) if check.is_begun => Err(Violation::Missing { revision }),
        _ => Ok(check.n_events),
    }
}

struct Check<'a> {
    record: &'a Record,
    history: &'a History,
    /// Everything up to here was delivered.
    position: i64,
    /// Always, but for a watch from now on that is not created yet.
    is_begun: bool,
    /// A watch from now on begins at some moment between its request and the revision in its response. Its
    /// first events may show that it was earlier than that, but not before this revision.
    floor: Option<i64>,
    n_events: usize,
    /// Of the response that is not complete.
    fragments: Vec<Event>,
    header: i64,
}

impl Check<'_> {
    fn step(&mut self, seen: &Seen) -> Result<(), Violation> {
        let is_between = !self.fragments.is_empty() && !matches!(seen, Seen::Events { .. } | Seen::Lost);
        if is_between {
            return Err(Violation::Interrupted { seen: format!("{seen:?}") });
        }
        match seen {
            Seen::Created(revision) => {
                if !self.is_begun {
                    self.is_begun = true;
                    self.floor = Some(self.position);
                    self.position = self.position.max(*revision);
                }
            }
            Seen::Events { header, events, fragment } => self.events(*header, events, *fragment)?,
            Seen::Progress(revision) => {
                self.bookmark(*revision)?;
                self.floor = None;
            }
            Seen::Compacted(compacted) => {
                let (position, compacted, requested) = (self.position, *compacted, self.record.compacted());
                if compacted <= position + 1 || compacted > requested {
                    return Err(Violation::Ended { position, compacted, requested });
                }
                self.position = compacted - 1;
            }
            Seen::Lost => {
                self.fragments.clear();
                self.floor = None;
            }
        }
        Ok(())
    }

    /// The first revision up to `until` that is left out.
    fn missing(&self, until: i64) -> Option<i64> {
        let mut rest = self.record.wanted(&self.history.request, self.position, until);
        rest.next().map(|event| event.row.mod_revision)
    }

    fn events(&mut self, header: i64, events: &[Event], fragment: bool) -> Result<(), Violation> {
        let last = events.last().map_or(0, |event| event.row.mod_revision);
        if header < last || (!self.fragments.is_empty() && header != self.header) {
            return Err(Violation::Header { header, last });
        }
        self.header = header;
        self.fragments.extend_from_slice(events);
        if fragment {
            return Ok(());
        }
        let events = mem::take(&mut self.fragments);
        self.whole(&events)?;
        if self.history.headers_are_bookmarks { self.bookmark(header) } else { Ok(()) }
    }

    /// The server claims that everything up to this revision was delivered.
    fn bookmark(&mut self, revision: i64) -> Result<(), Violation> {
        if let Some(missing) = self.missing(revision) {
            return Err(Violation::Bookmark { revision, missing });
        }
        self.position = self.position.max(revision);
        Ok(())
    }

    /// A complete response.
    fn whole(&mut self, events: &[Event]) -> Result<(), Violation> {
        let revisions = || events.iter().map(|event| event.row.mod_revision);
        if let (Some(floor), Some(first)) = (self.floor.take(), revisions().next()) {
            self.position = self.position.min(first - 1).max(floor);
        }
        let last = revisions().max().unwrap_or(self.position);
        let mut wanted = self.record.wanted(&self.history.request, self.position, last).peekable();
        for event in events {
            let revision = event.row.mod_revision;
            let expected = wanted.next();
            match expected {
                Some(expected) if is_same(expected, event) => self.previous(expected, event)?,
                _ if !self.record.knows(event) || !self.history.request.wants(event) => {
                    return Err(Violation::Invented { event: format!("{event:?}") });
                }
                Some(expected) if expected.row.mod_revision == revision => {
                    return Err(Violation::Disorder { revision });
                }
                Some(expected) if expected.row.mod_revision < revision => {
                    return Err(Violation::Missing { revision: expected.row.mod_revision });
                }
                _ => return Err(Violation::Repeated { revision, position: self.position }),
            }
        }
        if let Some(rest) = wanted.next() {
            return Err(Violation::Torn { revision: rest.row.mod_revision });
        }
        self.n_events += events.len();
        self.position = last;
        Ok(())
    }

    fn previous(&self, expected: &Event, event: &Event) -> Result<(), Violation> {
        let revision = event.row.mod_revision;
        // The row is looked up when the event is sent, at the revision before its own, which may be compacted then.
        let may_be_gone = self.record.compacted() >= revision;
        let right = match &event.prev {
            None => !self.history.request.prev_kv || expected.prev.is_none() || may_be_gone,
            prev => self.history.request.prev_kv && *prev == expected.prev,
        };
        if right { Ok(()) } else { Err(Violation::Previous { revision, got: format!("{:?}", event.prev) }) }
    }
}
