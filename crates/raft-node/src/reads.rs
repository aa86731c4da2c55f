//! Rounds of the read-index protocol.
//!
//! All reads that wait at one moment share a round; its context goes to the leader and comes back with an
//! index. A context is never used twice by anybody: it names the member, this start of its process and the
//! round. Otherwise an acknowledgement of one round could confirm another that began later.

use std::collections::VecDeque;

use crate::ReadToken;

/// Reads that wait for a leader's first commit are dropped beyond this many; their callers try again.
const MAX_WAITING: usize = 1 << 16;

/// The rounds that are under way, oldest first, and the reads that wait for one.
#[derive(Debug)]
pub(crate) struct Reads {
    member: u64,
    boot: u64,
    n_started: u64,
    rounds: VecDeque<Round>,
    /// Reads while nobody leads, or of a leader that has not committed in its term; the raft library would forget
    /// them.
    waiting: Vec<ReadToken>,
}

#[derive(Debug)]
struct Round {
    number: u64,
    started_at_tick: u64,
    tokens: Vec<ReadToken>,
}

impl Reads {
    /// `boot` must be another one for each start of this member.
    pub(crate) fn new(member: u64, boot: u64) -> Self {
        Self { member, boot, n_started: 0, rounds: VecDeque::new(), waiting: Vec::new() }
    }

    /// Starts a round for these reads and returns its context.
    pub(crate) fn start(&mut self, tokens: Vec<ReadToken>, tick: u64) -> Vec<u8> {
        self.n_started += 1;
        self.rounds.push_back(Round { number: self.n_started, started_at_tick: tick, tokens });
        self.context(self.n_started)
    }

    /// The reads of the round with this context; none if it is not ours or was given up.
    pub(crate) fn finish(&mut self, context: &[u8]) -> Vec<ReadToken> {
        let Some(number) = self.number_of(context) else { return Vec::new() };
        match self.rounds.binary_search_by_key(&number, |round| round.number) {
            Ok(position) => self.rounds.remove(position).map(|round| round.tokens).unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// Forgets rounds started before `tick`: their requests or answers were lost.
    pub(crate) fn forget_before(&mut self, tick: u64) {
        while self.rounds.pop_front_if(|round| round.started_at_tick < tick).is_some() {}
    }

    /// Keeps reads until [`Self::take_waiting`].
    pub(crate) fn wait(&mut self, tokens: Vec<ReadToken>) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.extend(tokens);
        }
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn take_waiting(&mut self) -> Vec<ReadToken> {
        std::mem::take(&mut self.waiting)
    }

    fn context(&self, number: u64) -> Vec<u8> {
        [self.member, self.boot, number].map(u64::to_be_bytes).concat()
    }

    fn number_of(&self, context: &[u8]) -> Option<u64> {
        let number = u64::from_be_bytes(*context.last_chunk()?);
        (context == self.context(number)).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(numbers: &[u64]) -> Vec<ReadToken> {
        numbers.iter().copied().map(ReadToken).collect()
    }

    #[test]
    fn rounds_finish_in_any_order_and_once() {
        let mut reads = Reads::new(1, 2);
        let first = reads.start(tokens(&[10, 11]), 0);
        let second = reads.start(tokens(&[20]), 0);
        assert_eq!(reads.finish(&second), tokens(&[20]));
        assert_eq!(reads.finish(&first), tokens(&[10, 11]));
        assert_eq!(reads.finish(&first), tokens(&[]));
    }

    #[test]
    fn contexts_of_others_are_not_ours() {
        let mut reads = Reads::new(1, 2);
        reads.start(tokens(&[10]), 0);
        for other in [Reads::new(1, 3).start(Vec::new(), 0), Reads::new(2, 2).start(Vec::new(), 0), vec![1]] {
            assert_eq!(reads.finish(&other), tokens(&[]), "{other:?}");
        }
    }

    #[test]
    fn old_rounds_are_forgotten() {
        let mut reads = Reads::new(1, 2);
        let old = reads.start(tokens(&[10]), 4);
        let new = reads.start(tokens(&[20]), 5);
        reads.forget_before(5);
        assert_eq!(reads.finish(&old), tokens(&[]));
        assert_eq!(reads.finish(&new), tokens(&[20]));
    }
}
