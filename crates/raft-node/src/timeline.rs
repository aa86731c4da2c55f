//! When the log passed which point, for requests that turn out to be slow.
//!
//! A request carries no times of its own through the node: the driver notes with each turn how far everything has come,
//! at the moment that it reads for its ticks anyway. A request that was slow is looked up by its token and its index.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Turns that begin less than this apart are noted as one.
const RESOLUTION: Duration = Duration::from_millis(2);
/// Turns that are remembered: those of eight seconds at least. With the default election timeout no request waits
/// longer.
const TURNS_MAX: usize = 4096;

/// How far things have come on this member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The highest token among the proposals that the driver has taken. Tokens grow.
    pub(crate) token: u64,
    /// The end of the log, also of what is not written yet.
    pub(crate) last: u64,
    pub(crate) persisted: u64,
    pub(crate) committed: u64,
}

/// When a proposal passed the stages of the log on this member; `None` for a stage that is not remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// The node began with it.
    pub taken: Option<Instant>,
    /// It was in this member's log, in memory. If another member leads it had been there by then.
    pub appended: Option<Instant>,
    /// It was durable here.
    pub synced: Option<Instant>,
    /// It was durable at a quorum. That can be before it was durable here.
    pub committed: Option<Instant>,
}

/// Written by the driver; read by any thread, for slow requests alone.
#[derive(Debug, Default)]
pub(crate) struct Timeline(Mutex<VecDeque<(Instant, Marks)>>);

impl Timeline {
    /// Notes how far everything is in the turn that began at `now`.
    pub(crate) fn note(&self, now: Instant, marks: Marks) {
        let mut turns = self.0.lock();
        match turns.back_mut() {
            Some((_, last)) if *last == marks => {}
            Some((at, last)) if now.saturating_duration_since(*at) < RESOLUTION => *last = marks,
            _ => {
                if turns.len() == TURNS_MAX {
                    turns.pop_front();
                }
                turns.push_back((now, marks));
            }
        }
    }

    /// Looks up a proposal with this token that became the entry `index`.
    pub(crate) fn passage(&self, token: u64, index: u64) -> Passage {
        let turns = self.0.lock();
        // From the end: the log of a follower can be cut, so that marks go back.
        let first = |reached: &dyn Fn(&Marks) -> bool| {
            let (at, _) = turns.iter().rev().take_while(|(_, marks)| reached(marks)).last()?;
            // What the oldest turn has may have been there long before.
            (turns.front().is_none_or(|(oldest, _)| oldest != at)).then_some(*at)
        };
        Passage {
            taken: first(&|marks| marks.token >= token),
            appended: first(&|marks| marks.last >= index),
            synced: first(&|marks| marks.persisted >= index),
            committed: first(&|marks| marks.committed >= index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(token: u64, last: u64, persisted: u64, committed: u64) -> Marks {
        Marks { token, last, persisted, committed }
    }

    #[test]
    fn stages_are_found_by_token_and_index() {
        let (timeline, start) = (Timeline::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        timeline.note(at(0), marks(0, 5, 5, 5));
        timeline.note(at(10), marks(7, 6, 5, 5));
        timeline.note(at(40), marks(7, 6, 6, 5));
        timeline.note(at(90), marks(9, 7, 6, 6));
        let expected = Passage {
            taken: Some(at(10)),
            appended: Some(at(10)),
            synced: Some(at(40)),
            committed: Some(at(90)),
        };
        assert_eq!(timeline.passage(7, 6), expected);
        let later = Passage { taken: Some(at(90)), appended: Some(at(90)), ..Passage::default() };
        assert_eq!(timeline.passage(8, 7), later);
        assert_eq!(timeline.passage(0, 5), Passage::default(), "that was before the first turn");
    }

    #[test]
    fn log_that_was_cut_counts_from_its_last_growth() {
        let (timeline, start) = (Timeline::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for (ms, last) in [(0, 3), (10, 6), (20, 4), (30, 6)] {
            timeline.note(at(ms), marks(0, last, 0, 0));
        }
        assert_eq!(timeline.passage(1, 6).appended, Some(at(30)));
    }

    #[test]
    fn memory_is_bounded_and_lasts_longer_than_requests_wait() {
        let (timeline, start) = (Timeline::default(), Instant::now());
        for turn in 1..=20_000 {
            timeline.note(start + Duration::from_millis(turn), marks(turn, 0, 0, 0));
        }
        assert_eq!(timeline.0.lock().len(), TURNS_MAX);
        assert!(timeline.passage(20_000 - 7_000, 0).taken.is_some());
    }
}
