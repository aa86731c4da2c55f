//! Linearizable reads, in rounds.
//!
//! A read may go ahead when the member has applied everything that was committed when the read came in. The
//! consensus core tells that index once per *round*. Reads that come in while a round is under way wait for the
//! next round, never for the running one, whose index may be older than they are. So all reads that wait share the
//! cost of one round.
//!
//! A round that gets no response (there was no leader) is retried under a new token: a late response to the first try
//! must not count for the second.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::ReadToken;

type Waiting<W> = Vec<(Instant, W)>;

/// The reads that wait, each as a `W` that comes out when the read may go ahead. Time comes in as an argument.
#[derive(Debug)]
pub struct ReadRounds<W> {
    state: Mutex<State<W>>,
    /// Index of the last applied entry.
    applied: AtomicU64,
    /// Whether a confirmed round waits for `applied`; spares the apply thread the lock.
    has_confirmed: AtomicBool,
    /// Reads that have come in and have not come out.
    n_reads: AtomicUsize,
}

#[derive(Debug)]
struct State<W> {
    last_token: u64,
    round: Option<Round<W>>,
    /// Reads that came in after the running round began.
    next: Waiting<W>,
    /// Rounds whose index is known but not applied yet, in the order of their indexes.
    confirmed: VecDeque<(u64, Waiting<W>)>,
}

#[derive(Debug)]
struct Round<W> {
    token: u64,
    requested_at: Instant,
    reads: Waiting<W>,
}

/// The reads that a call lets go ahead.
#[derive(Debug)]
#[must_use]
pub struct Released<W> {
    /// These may go ahead.
    pub reads: Vec<W>,
    /// Others wait for a round to [begin](ReadRounds::begin_round).
    pub has_next: bool,
}

impl<W> Default for ReadRounds<W> {
    fn default() -> Self {
        let state = State { last_token: 0, round: None, next: Vec::new(), confirmed: VecDeque::new() };
        Self {
            state: Mutex::new(state),
            applied: AtomicU64::default(),
            has_confirmed: AtomicBool::default(),
            n_reads: AtomicUsize::default(),
        }
    }
}

impl<W> ReadRounds<W> {
    /// Adds a read. Returns whether a round should [begin](Self::begin_round) for it; the later that happens, the
    /// more reads share the round.
    pub fn add(&self, now: Instant, read: W) -> bool {
        let mut state = self.state.lock();
        state.next.push((now, read));
        self.n_reads.fetch_add(1, Ordering::Relaxed);
        state.round.is_none()
    }

    /// Begins a round for all reads that have come in, unless there are none or a round is under way. Returns the
    /// token to request a read index with.
    pub fn begin_round(&self, now: Instant) -> Option<ReadToken> {
        self.state.lock().begin_round(now)
    }

    /// The consensus core has responded to the request `token` with `index`. Responses to abandoned requests are
    /// ignored.
    pub fn confirmed(&self, token: ReadToken, index: u64) -> Released<W> {
        let mut state = self.state.lock();
        if state.round.as_ref().is_none_or(|round| round.token != token.0) {
            return Released { reads: Vec::new(), has_next: false };
        }
        let reads = state.round.take().map(|round| round.reads).unwrap_or_default();
        let has_next = !state.next.is_empty();
        state.confirmed.push_back((index, reads));
        // Ordered before the look at `applied`; `applied()` does the two in the other order, so one of the
        // two sees the other.
        self.has_confirmed.store(true, Ordering::SeqCst);
        Released { reads: self.release(&mut state), has_next }
    }

    /// Everything up to `index` has been applied. Returns the reads that may go ahead.
    pub fn applied(&self, index: u64) -> Vec<W> {
        self.applied.store(index, Ordering::SeqCst);
        if !self.has_confirmed.load(Ordering::SeqCst) {
            return Vec::new();
        }
        self.release(&mut self.state.lock())
    }

    /// How many reads wait.
    pub fn n_waiting(&self) -> usize {
        self.n_reads.load(Ordering::Relaxed)
    }

    /// Index of the last applied entry.
    pub fn applied_index(&self) -> u64 {
        self.applied.load(Ordering::SeqCst)
    }

    /// Retries the running round when its request is older than `patience`. Returns the new token. No patience is for
    /// requests that are certainly lost, with the leader that they were sent to.
    pub fn retry(&self, now: Instant, patience: Duration) -> Option<ReadToken> {
        let mut state = self.state.lock();
        let token = state.last_token + 1;
        let round = state.round.as_mut()?;
        if round.reads.is_empty() {
            // All reads of the round have given up; later reads need another round.
            state.round = None;
            return None;
        }
        if now.saturating_duration_since(round.requested_at) < patience {
            return None;
        }
        round.token = token;
        round.requested_at = now;
        state.last_token = token;
        Some(ReadToken(token))
    }

    /// Takes out reads that have waited for `timeout`.
    pub fn take_overdue(&self, now: Instant, timeout: Duration) -> Vec<W> {
        self.take_if(|since| now.saturating_duration_since(since) >= timeout)
    }

    /// Takes out all reads.
    pub fn take_all(&self) -> Vec<W> {
        self.take_if(|_| true)
    }

    fn release(&self, state: &mut State<W>) -> Vec<W> {
        let applied = self.applied_index();
        let mut released = Vec::new();
        while state.confirmed.front().is_some_and(|(index, _)| *index <= applied) {
            let (_, reads) = state.confirmed.pop_front().expect("there is a front");
            released.extend(reads.into_iter().map(|(_, read)| read));
        }
        self.has_confirmed.store(!state.confirmed.is_empty(), Ordering::SeqCst);
        self.n_reads.fetch_sub(released.len(), Ordering::Relaxed);
        released
    }

    fn take_if(&self, condition: impl Fn(Instant) -> bool) -> Vec<W> {
        let mut state = self.state.lock();
        let State { round, next, confirmed, .. } = &mut *state;
        let lists = round
            .iter_mut()
            .map(|round| &mut round.reads)
            .chain([next])
            .chain(confirmed.iter_mut().map(|(_, reads)| reads));
        let taken: Vec<_> = lists
            .flat_map(|reads| reads.extract_if(.., |(since, _)| condition(*since)))
            .map(|(_, read)| read)
            .collect();
        self.n_reads.fetch_sub(taken.len(), Ordering::Relaxed);
        taken
    }
}

impl<W> State<W> {
    fn begin_round(&mut self, now: Instant) -> Option<ReadToken> {
        if self.round.is_some() || self.next.is_empty() {
            return None;
        }
        self.last_token += 1;
        let reads = std::mem::take(&mut self.next);
        self.round = Some(Round { token: self.last_token, requested_at: now, reads });
        Some(ReadToken(self.last_token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(rounds: &ReadRounds<()>, now: Instant) -> Option<u64> {
        let should_begin = rounds.add(now, ());
        let token = begin(rounds, now);
        assert_eq!(token.is_some(), should_begin);
        token
    }

    fn begin(rounds: &ReadRounds<()>, now: Instant) -> Option<u64> {
        rounds.begin_round(now).map(|token| token.0)
    }

    fn retry(rounds: &ReadRounds<()>, now: Instant, patience: Duration) -> Option<u64> {
        rounds.retry(now, patience).map(|token| token.0)
    }

    /// How many reads are released, and whether others wait for a round.
    fn confirm(rounds: &ReadRounds<()>, token: u64, index: u64) -> (usize, bool) {
        let released = rounds.confirmed(ReadToken(token), index);
        (released.reads.len(), released.has_next)
    }

    #[test]
    fn read_waits_for_a_round_that_began_after_it() {
        let (rounds, now) = (ReadRounds::default(), Instant::now());
        assert_eq!(add(&rounds, now), Some(1));
        assert_eq!(add(&rounds, now), None, "joins the next round");
        assert_eq!(confirm(&rounds, 1, 0), (1, true));
        assert_eq!(begin(&rounds, now), Some(2));
        assert_eq!(confirm(&rounds, 2, 0), (1, false));
        assert_eq!(begin(&rounds, now), None);
    }

    #[test]
    fn read_waits_until_its_index_is_applied() {
        let (rounds, now) = (ReadRounds::default(), Instant::now());
        assert_eq!(add(&rounds, now), Some(1));
        assert_eq!(confirm(&rounds, 1, 5), (0, false));
        assert_eq!(rounds.applied(4).len(), 0);
        assert_eq!(rounds.applied(5).len(), 1);
        assert_eq!(rounds.applied(6).len(), 0);
    }

    #[test]
    fn late_response_to_an_abandoned_request_is_ignored() {
        let (rounds, now) = (ReadRounds::default(), Instant::now());
        let patience = Duration::from_millis(500);
        assert_eq!(add(&rounds, now), Some(1));
        assert_eq!(retry(&rounds, now, patience), None);
        assert_eq!(retry(&rounds, now + patience, patience), Some(2));
        assert_eq!(confirm(&rounds, 1, 0), (0, false));
        assert_eq!(confirm(&rounds, 2, 0), (1, false));
    }

    #[test]
    fn lost_request_is_retried_at_once() {
        let (rounds, now) = (ReadRounds::default(), Instant::now());
        assert_eq!(retry(&rounds, now, Duration::ZERO), None, "no read waits");
        assert_eq!(add(&rounds, now), Some(1));
        assert_eq!(add(&rounds, now), None);
        assert_eq!(retry(&rounds, now, Duration::ZERO), Some(2));
        assert_eq!(confirm(&rounds, 2, 0), (1, true));
        assert_eq!(begin(&rounds, now), Some(3));
        assert_eq!(confirm(&rounds, 3, 0), (1, false));
    }

    #[test]
    fn overdue_reads_are_taken_out_wherever_they_wait() {
        let (rounds, now) = (ReadRounds::default(), Instant::now());
        let timeout = Duration::from_secs(7);
        assert_eq!(add(&rounds, now), Some(1));
        assert_eq!(add(&rounds, now), None);
        assert_eq!(confirm(&rounds, 1, 5), (0, true));
        assert_eq!(begin(&rounds, now), Some(2));
        assert_eq!(add(&rounds, now + timeout), None);
        assert_eq!(rounds.take_overdue(now + timeout, timeout).len(), 2);
        assert_eq!(retry(&rounds, now + timeout, Duration::ZERO), None, "no read of the round is left");
        assert_eq!(begin(&rounds, now + timeout), Some(3), "for the last read");
        assert_eq!(rounds.take_all().len(), 1);
    }
}
