//! The messages that wait for one stream to one member.
//!
//! ```text
//! Peers::send ──push──► queue ──poll_take──► OutgoingStream ──► connection
//! ```
//!
//! A queue takes messages only while a stream is attached, and each message is taken out once. A newer stream
//! takes over from an older one with what is in the queue.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use ferretcd_api_proto::raftpb::Message;
use parking_lot::Mutex;

use crate::codec::rough_len;

/// Messages that wait at most.
const MESSAGES_MAX: usize = 4096;
/// Bytes of them at most, beyond the first.
const BYTES_MAX: usize = 64 << 20;

/// A queue, shared by those who send and the stream.
#[derive(Debug, Default)]
pub(crate) struct Lane(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Message>,
    /// Roughly of what is in the queue.
    bytes: usize,
    /// Number of the newest stream.
    newest: u64,
    is_attached: bool,
    /// Of the newest stream, while it waits.
    waker: Option<Waker>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// No stream is there; the message may go another way.
    Detached(Box<Message>),
    /// The other side takes less than is sent.
    Full,
}

/// The right of one stream to take messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Lane {
    /// Adds a message behind all others.
    pub(crate) fn push(&self, message: Message) -> Result<(), Refused> {
        let mut state = self.0.lock();
        if !state.is_attached {
            return Err(Refused::Detached(Box::new(message)));
        }
        let bytes = rough_len(&message);
        let is_full = state.queue.len() >= MESSAGES_MAX || state.bytes + bytes > BYTES_MAX;
        if is_full && !state.queue.is_empty() {
            return Err(Refused::Full);
        }
        state.queue.push_back(message);
        state.bytes += bytes;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Begins a stream; an older one ends.
    pub(crate) fn attach(&self) -> Ticket {
        let mut state = self.0.lock();
        state.newest += 1;
        state.is_attached = true;
        let (ticket, waker) = (Ticket(state.newest), state.waker.take());
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        ticket
    }

    /// Whether there is a stream.
    pub(crate) fn is_attached(&self) -> bool {
        self.0.lock().is_attached
    }

    /// Moves messages of about `bytes` into `taken`, at least one. Ready with `false` when the stream has been
    /// replaced or is to end.
    pub(crate) fn poll_take(
        &self,
        ticket: Ticket,
        bytes: usize,
        taken: &mut Vec<Message>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        let mut state = self.0.lock();
        if !state.is_current(ticket) {
            return Poll::Ready(false);
        }
        let mut room = bytes;
        while let Some(message) = state.queue.pop_front() {
            let length = rough_len(&message);
            state.bytes -= length;
            room = room.saturating_sub(length);
            taken.push(message);
            if room == 0 {
                break;
            }
        }
        if taken.is_empty() {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(true)
    }

    /// Ends a stream; messages that wait are lost. False if it had ended before.
    pub(crate) fn detach(&self, ticket: Ticket) -> bool {
        let mut state = self.0.lock();
        let is_current = state.is_current(ticket);
        if is_current {
            state.end();
        }
        is_current
    }

    /// Ends whatever stream there is.
    pub(crate) fn close(&self) {
        let mut state = self.0.lock();
        state.end();
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    fn is_current(&self, ticket: Ticket) -> bool {
        self.is_attached && self.newest == ticket.0
    }

    fn end(&mut self) {
        self.is_attached = false;
        self.queue = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::raftpb::Entry;

    use super::*;

    fn message(index: u64) -> Message {
        Message { index: Some(index), ..Message::default() }
    }

    fn take(lane: &Lane, ticket: Ticket, bytes: usize) -> Poll<(bool, Vec<u64>)> {
        let mut taken = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        let polled = lane.poll_take(ticket, bytes, &mut taken, &mut cx);
        polled.map(|is_open| (is_open, taken.iter().map(Message::index).collect()))
    }

    #[test]
    fn a_newer_stream_goes_on_where_the_older_one_was() {
        let lane = Lane::default();
        assert!(matches!(lane.push(message(1)), Err(Refused::Detached(_))));
        let older = lane.attach();
        assert_eq!(take(&lane, older, 1), Poll::Pending);
        for index in 1..4 {
            lane.push(message(index)).expect("it is attached");
        }
        assert_eq!(take(&lane, older, 1), Poll::Ready((true, vec![1])));
        let newer = lane.attach();
        assert_eq!(take(&lane, older, 1), Poll::Ready((false, vec![])));
        assert!(!lane.detach(older));
        assert_eq!(take(&lane, newer, 1000), Poll::Ready((true, vec![2, 3])));
        assert!(lane.detach(newer));
        assert!(!lane.is_attached());
    }

    #[test]
    fn what_waited_is_lost_with_the_last_stream() {
        let lane = Lane::default();
        let ticket = lane.attach();
        lane.push(message(1)).expect("it is attached");
        lane.close();
        assert_eq!(take(&lane, ticket, 1), Poll::Ready((false, vec![])));
        let ticket = lane.attach();
        assert_eq!(take(&lane, ticket, 1), Poll::Pending);
    }

    #[test]
    fn the_queue_is_bounded_by_number_and_bytes() {
        let lane = Lane::default();
        lane.attach();
        let pushed = (0..).take_while(|index| lane.push(message(*index)).is_ok()).count();
        assert_eq!(pushed, MESSAGES_MAX);

        let lane = Lane::default();
        lane.attach();
        let large = |size| {
            let entry = Entry { data: Some(vec![0; size].into()), ..Entry::default() };
            Message { entries: vec![entry], ..Message::default() }
        };
        lane.push(large(BYTES_MAX + 1)).expect("the first is taken whatever its size");
        assert!(matches!(lane.push(large(1)), Err(Refused::Full)));
        let lane = Lane::default();
        lane.attach();
        let pushed = (0..).take_while(|_| lane.push(large(1 << 20)).is_ok()).count();
        assert_eq!(pushed, 63);
    }
}
