//! Which messages may leave when.
//!
//! The core numbers its batches of work ("readies"). The log thread makes them durable in that order, later
//! than they are made. A message may reveal any batch up to its own to other members, so
//!
//! * a member that is no leader sends nothing of batch n before every batch up to n is durable, even if n
//!   itself had nothing to write: the response to a repeated append acknowledges entries of earlier batches;
//! * a leader's messages leave at once, as it counts itself only once it is durable, but not before the term
//!   and vote that made it leader are. Only a sole voter can become leader that early, and a learner could
//!   otherwise hold entries of a term that the voter forgets in a crash and wins a second time.
//!
//! A batch that changes only the commit index counts as durable with its predecessors: the commit index is
//! found again by the next election.

use std::collections::VecDeque;

use crate::Message;

/// The numbers of the batches, and the messages that wait for them.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The last batch made.
    issued: u64,
    /// The last batch that has to be synced.
    owed: u64,
    /// The last batch that changed the term or the vote.
    vote: u64,
    /// The last batch reported as synced.
    synced: u64,
    /// Every batch up to this one is durable. Everything held belongs to later ones.
    settled: u64,
    held: VecDeque<(u64, Vec<Message>)>,
}

impl Outbox {
    /// Counts a new batch in.
    pub(crate) fn issue(&mut self, number: u64, must_sync: bool, vote_changed: bool) {
        assert!(number > self.issued, "batches are numbered upwards");
        self.issued = number;
        if must_sync {
            self.owed = number;
        }
        if vote_changed {
            self.vote = number;
        }
    }

    /// Whether the current term and vote are durable, so that a leader may send.
    pub(crate) fn vote_is_durable(&self) -> bool {
        self.vote <= self.settled
    }

    /// Keeps messages of the newest batch until it is durable.
    pub(crate) fn hold(&mut self, messages: Vec<Message>) {
        if !messages.is_empty() {
            self.held.push_back((self.issued, messages));
        }
    }

    /// Notes that every batch up to `number` is on disk.
    pub(crate) fn synced(&mut self, number: u64) {
        assert!(number <= self.issued, "only what was written can be synced");
        self.synced = self.synced.max(number);
    }

    /// Moves the messages that may leave now to `out`. Returns the last durable batch if it has changed.
    pub(crate) fn settle(&mut self, out: &mut Vec<Message>) -> Option<u64> {
        let durable = if self.synced >= self.owed { self.issued } else { self.synced };
        if durable <= self.settled {
            return None;
        }
        self.settled = durable;
        while let Some((_, messages)) = self.held.pop_front_if(|(number, _)| *number <= durable) {
            out.extend(messages);
        }
        Some(durable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(to: u64) -> Message {
        Message(raft::eraftpb::Message { to, ..Default::default() })
    }

    /// Settles and shows what left and up to which batch.
    fn settle(outbox: &mut Outbox) -> (Option<u64>, Vec<u64>) {
        let mut out = Vec::new();
        let durable = outbox.settle(&mut out);
        (durable, out.iter().map(|message| message.to().0).collect())
    }

    #[test]
    fn a_batch_without_data_waits_for_the_batches_before_it() {
        let mut outbox = Outbox::default();
        outbox.issue(1, true, false);
        outbox.hold(vec![message(10)]);
        outbox.issue(2, false, false);
        outbox.hold(vec![message(20)]);
        assert_eq!(settle(&mut outbox), (None, vec![]));
        outbox.synced(1);
        assert_eq!(settle(&mut outbox), (Some(2), vec![10, 20]));
    }

    #[test]
    fn a_batch_without_data_waits_for_nothing_else() {
        let mut outbox = Outbox::default();
        outbox.issue(1, false, false);
        outbox.hold(vec![message(10)]);
        assert_eq!(settle(&mut outbox), (Some(1), vec![10]));
        assert_eq!(settle(&mut outbox), (None, vec![]));
    }

    #[test]
    fn a_sync_releases_no_later_batch() {
        let mut outbox = Outbox::default();
        for number in 1..=3 {
            outbox.issue(number, number != 2, false);
            outbox.hold(vec![message(number)]);
        }
        outbox.synced(1);
        assert_eq!(settle(&mut outbox), (Some(1), vec![1]));
        outbox.synced(3);
        assert_eq!(settle(&mut outbox), (Some(3), vec![2, 3]));
    }

    #[test]
    fn a_vote_is_durable_once_its_batch_is() {
        let mut outbox = Outbox::default();
        assert!(outbox.vote_is_durable());
        outbox.issue(1, true, true);
        outbox.issue(2, true, false);
        settle(&mut outbox);
        assert!(!outbox.vote_is_durable());
        outbox.synced(1);
        settle(&mut outbox);
        assert!(outbox.vote_is_durable());
    }
}
