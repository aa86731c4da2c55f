//! From the raft library's batches of work ("readies") to effects.

use raft::eraftpb;

use super::{Core, Installing, Step};
use crate::split::split;
use crate::{Error, Message, Persist, translate};

impl Core {
    /// Turns the library's next batch of work into effects.
    pub(super) fn take_ready(&mut self) {
        let mut ready = self.raw.ready();
        let number = ready.number();
        let must_sync = ready.must_sync();
        let hard_state = ready.hs().map(translate::hard_state_to_wal);
        let vote_changed = hard_state
            .is_some_and(|new| (new.term, new.vote) != (self.hard_state.term, self.hard_state.vote));
        self.outbox.issue(number, must_sync, vote_changed);
        self.post(ready.take_messages(), ready.take_persisted_messages());

        let entries = ready.take_entries();
        if let Some(Installing { mark, step }) = &mut self.installing {
            assert!(entries.is_empty(), "nothing is accepted behind a snapshot that is not installed");
            *step = Step::Persisting(number);
            let mark = mark.clone();
            self.begin_anew(number, mark, hard_state);
        } else if let Err(error) = self.persist(number, &entries, hard_state, must_sync) {
            return self.fail(error);
        } else {
            self.raw.mut_store().append(entries);
        }

        let committed = ready.take_committed_entries();
        let read_states = ready.take_read_states();
        self.raw.advance_append_async(ready);
        self.settle();
        for read in read_states {
            let token = self.requester.token(&read.request_ctx);
            self.effects.reads.extend(token.map(|token| (token, read.index)));
        }
        self.backlog.extend(committed);
    }

    /// Sends or holds a batch's messages: `leading` those of a leader, `following` those of any other role.
    fn post(&mut self, leading: Vec<eraftpb::Message>, following: Vec<eraftpb::Message>) {
        let bytes_max = self.config.max_size_per_msg;
        let leading = leading.into_iter().flat_map(|message| split(message, bytes_max)).map(Message);
        if self.outbox.vote_is_durable() {
            self.effects.send.extend(leading);
        } else {
            self.outbox.hold(leading.collect());
        }
        let (now, later) = following.into_iter().map(Message).partition(Message::promises_nothing);
        self.effects.send.extend::<Vec<_>>(now);
        self.outbox.hold(later);
    }

    fn persist(
        &mut self,
        number: u64,
        entries: &[eraftpb::Entry],
        hard_state: Option<ferretcd_wal::HardState>,
        must_sync: bool,
    ) -> Result<(), Error> {
        if entries.is_empty() && hard_state.is_none() {
            return Ok(());
        }
        let entries = entries.iter().map(translate::entry_to_wal).collect::<Result<_, _>>()?;
        self.hard_state = hard_state.unwrap_or(self.hard_state);
        self.effects.persist.push(Persist { number, mark: None, entries, hard_state, must_sync });
        Ok(())
    }

    /// Reports to the library what is durable, and sends the messages that waited for it.
    pub(super) fn settle(&mut self) {
        if self.installing.is_some() {
            return;
        }
        if let Some(number) = self.outbox.settle(&mut self.effects.send) {
            self.raw.on_persist_ready(number);
        }
    }
}
