//! The gate that linearizable reads pass.
//!
//! A read may go ahead when the member has applied everything that was committed when the read came in. The
//! consensus core tells that index once per *round*. Reads that come while a round is under way wait for the
//! next one, never for the running one: its index may be older than they are. So the cost of a round is
//! shared by all reads that queue up behind it, however many.
//!
//! A round that gets no answer (there was no leader) is asked again under a new token: an answer to the first
//! question that arrives late must not pass for an answer to the second.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::replies::ReplyTo;

type Waiting = Vec<(Instant, ReplyTo<()>)>;

/// Who waits for what. Time comes in as an argument.
#[derive(Debug, Default)]
pub(crate) struct ReadGate {
    state: Mutex<State>,
    /// Index of the last applied entry.
    applied: AtomicU64,
    /// Whether a confirmed round waits for `applied`; spares the apply thread the lock.
    has_confirmed: AtomicBool,
    /// Reads that have come in and not gone on.
    n_reads: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    last_token: u64,
    round: Option<Round>,
    /// Reads that came after the running round began.
    next: Waiting,
    /// Rounds whose index is known but not applied yet, in the order of their indexes.
    confirmed: VecDeque<(u64, Waiting)>,
}

#[derive(Debug)]
struct Round {
    token: u64,
    asked_at: Instant,
    reads: Waiting,
}

/// What a call sets free.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Released {
    /// These may go ahead.
    pub(crate) reads: Vec<ReplyTo<()>>,
    /// Others wait for a round to [begin](ReadGate::begin_round).
    pub(crate) has_next: bool,
}

impl ReadGate {
    /// A read comes in. True if a round should [begin](Self::begin_round) for it; the longer that takes the
    /// more reads share the round.
    pub(crate) fn enter(&self, now: Instant, read: ReplyTo<()>) -> bool {
        let mut state = self.state.lock();
        state.next.push((now, read));
        self.n_reads.fetch_add(1, Ordering::Relaxed);
        state.round.is_none()
    }

    /// Begins a round for all reads that have come in, unless there are none or a round is under way. The
    /// token is what to ask under.
    pub(crate) fn begin_round(&self, now: Instant) -> Option<u64> {
        self.state.lock().begin_round(now)
    }

    /// The consensus core has answered a question. Answers to given-up questions are ignored.
    pub(crate) fn confirmed(&self, token: u64, index: u64) -> Released {
        let mut state = self.state.lock();
        if state.round.as_ref().is_none_or(|round| round.token != token) {
            return Released::default();
        }
        let reads = state.round.take().map(|round| round.reads).unwrap_or_default();
        let has_next = !state.next.is_empty();
        state.confirmed.push_back((index, reads));
        // Ordered before the look at `applied`; `applied()` does the two in the other order, so one of the
        // two sees the other.
        self.has_confirmed.store(true, Ordering::SeqCst);
        Released { reads: self.release(&mut state), has_next }
    }

    /// Everything up to `index` has been applied.
    pub(crate) fn applied(&self, index: u64) -> Vec<ReplyTo<()>> {
        self.applied.store(index, Ordering::SeqCst);
        if !self.has_confirmed.load(Ordering::SeqCst) {
            return Vec::new();
        }
        self.release(&mut self.state.lock())
    }

    /// How many reads wait.
    pub(crate) fn len(&self) -> usize {
        self.n_reads.load(Ordering::Relaxed)
    }

    /// Index of the last applied entry.
    pub(crate) fn applied_index(&self) -> u64 {
        self.applied.load(Ordering::SeqCst)
    }

    /// Asks again if the running round has waited for `patience`; returns the new token. Without patience it is for
    /// questions that have certainly gone lost, with the leader that they were put to.
    pub(crate) fn ask_again(&self, now: Instant, patience: Duration) -> Option<u64> {
        let mut state = self.state.lock();
        let token = state.last_token + 1;
        let round = state.round.as_mut()?;
        if round.reads.is_empty() {
            // All have given up; whoever came later needs another round.
            state.round = None;
            return None;
        }
        if now.saturating_duration_since(round.asked_at) < patience {
            return None;
        }
        round.token = token;
        round.asked_at = now;
        state.last_token = token;
        Some(token)
    }

    /// Takes out reads that have waited for `timeout`.
    pub(crate) fn take_overdue(&self, now: Instant, timeout: Duration) -> Vec<ReplyTo<()>> {
        self.take_if(|since| now.saturating_duration_since(since) >= timeout)
    }

    /// Takes out everybody.
    pub(crate) fn take_all(&self) -> Vec<ReplyTo<()>> {
        self.take_if(|_| true)
    }

    fn release(&self, state: &mut State) -> Vec<ReplyTo<()>> {
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

    fn take_if(&self, condition: impl Fn(Instant) -> bool) -> Vec<ReplyTo<()>> {
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

impl State {
    fn begin_round(&mut self, now: Instant) -> Option<u64> {
        if self.round.is_some() || self.next.is_empty() {
            return None;
        }
        self.last_token += 1;
        let reads = std::mem::take(&mut self.next);
        self.round = Some(Round { token: self.last_token, asked_at: now, reads });
        Some(self.last_token)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn enter(gate: &ReadGate, now: Instant) -> Option<u64> {
        let should_begin = gate.enter(now, oneshot::channel().0);
        let token = gate.begin_round(now);
        assert_eq!(token.is_some(), should_begin);
        token
    }

    #[test]
    fn a_read_waits_for_a_round_that_began_after_it() {
        let (gate, now) = (ReadGate::default(), Instant::now());
        assert_eq!(enter(&gate, now), Some(1));
        assert_eq!(enter(&gate, now), None, "joins the next round");
        let released = gate.confirmed(1, 0);
        assert_eq!((released.reads.len(), released.has_next), (1, true));
        assert_eq!(gate.begin_round(now), Some(2));
        let released = gate.confirmed(2, 0);
        assert_eq!((released.reads.len(), released.has_next), (1, false));
        assert_eq!(gate.begin_round(now), None);
    }

    #[test]
    fn a_read_waits_until_its_index_is_applied() {
        let (gate, now) = (ReadGate::default(), Instant::now());
        assert_eq!(enter(&gate, now), Some(1));
        assert_eq!(gate.confirmed(1, 5).reads.len(), 0);
        assert_eq!(gate.applied(4).len(), 0);
        assert_eq!(gate.applied(5).len(), 1);
        assert_eq!(gate.applied(6).len(), 0);
    }

    #[test]
    fn a_late_answer_to_a_given_up_question_is_ignored() {
        let (gate, now) = (ReadGate::default(), Instant::now());
        let patience = Duration::from_millis(500);
        assert_eq!(enter(&gate, now), Some(1));
        assert_eq!(gate.ask_again(now, patience), None);
        assert_eq!(gate.ask_again(now + patience, patience), Some(2));
        assert_eq!(gate.confirmed(1, 0).reads.len(), 0);
        assert_eq!(gate.confirmed(2, 0).reads.len(), 1);
    }

    #[test]
    fn a_lost_question_is_asked_again_at_once() {
        let (gate, now) = (ReadGate::default(), Instant::now());
        assert_eq!(gate.ask_again(now, Duration::ZERO), None, "nobody reads");
        assert_eq!(enter(&gate, now), Some(1));
        assert_eq!(enter(&gate, now), None);
        assert_eq!(gate.ask_again(now, Duration::ZERO), Some(2));
        let released = gate.confirmed(2, 0);
        assert_eq!((released.reads.len(), released.has_next), (1, true));
        assert_eq!(gate.begin_round(now), Some(3));
        assert_eq!(gate.confirmed(3, 0).reads.len(), 1);
    }

    #[test]
    fn overdue_reads_leave_wherever_they_wait() {
        let (gate, now) = (ReadGate::default(), Instant::now());
        let timeout = Duration::from_secs(7);
        assert_eq!(enter(&gate, now), Some(1));
        assert_eq!(enter(&gate, now), None);
        assert!(gate.confirmed(1, 5).has_next);
        assert_eq!(gate.begin_round(now), Some(2));
        assert_eq!(enter(&gate, now + timeout), None);
        assert_eq!(gate.take_overdue(now + timeout, timeout).len(), 2);
        assert_eq!(gate.ask_again(now + timeout, Duration::ZERO), None, "nobody is left to ask for");
        assert_eq!(gate.begin_round(now + timeout), Some(3), "for who came last");
        assert_eq!(gate.take_all().len(), 1);
    }
}
