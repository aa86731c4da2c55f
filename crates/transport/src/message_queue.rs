//! The messages that wait for one stream to a peer.
//!
//! ```text
//! Peers::send ──push──► queue ──poll_take──► StreamWriter ──► connection
//! ```
//!
//! A queue takes messages only while a stream is attached, and each message leaves it once. A newer stream replaces an
//! older one and takes the messages that are in the queue.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use ferretcd_api_proto::raftpb::Message;
use parking_lot::Mutex;

use crate::codec::rough_len;

/// Messages in a queue, at most.
const MESSAGES_MAX: usize = 4096;
/// Their bytes, at most. The first message may be larger.
const BYTES_MAX: usize = 64 << 20;

/// A queue, shared by the senders and the stream.
#[derive(Debug, Default)]
pub(crate) struct MessageQueue(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    messages: VecDeque<Message>,
    /// Of the queue, roughly.
    bytes: usize,
    /// The number of the newest stream.
    newest: u64,
    is_attached: bool,
    /// The newest stream's, while it waits.
    waker: Option<Waker>,
}

/// Why a queue does not take a message.
#[derive(Debug)]
pub(crate) enum PushError {
    /// No stream is attached; the message may be posted instead.
    Detached(Box<Message>),
    /// The peer reads more slowly than messages arrive.
    Full,
}

/// The right of one stream to take messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl MessageQueue {
    /// Adds a message behind all others.
    pub(crate) fn push(&self, message: Message) -> Result<(), PushError> {
        let mut inner = self.0.lock();
        if !inner.is_attached {
            return Err(PushError::Detached(Box::new(message)));
        }
        let bytes = rough_len(&message);
        let is_full = inner.messages.len() >= MESSAGES_MAX || inner.bytes + bytes > BYTES_MAX;
        if is_full && !inner.messages.is_empty() {
            return Err(PushError::Full);
        }
        inner.messages.push_back(message);
        inner.bytes += bytes;
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Attaches a stream; an older one ends.
    pub(crate) fn attach(&self) -> Ticket {
        let mut inner = self.0.lock();
        inner.newest += 1;
        inner.is_attached = true;
        let (ticket, waker) = (Ticket(inner.newest), inner.waker.take());
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        ticket
    }

    /// Whether a stream is attached.
    pub(crate) fn is_attached(&self) -> bool {
        self.0.lock().is_attached
    }

    /// Moves messages of about `bytes` into `taken`, at least one. Ready with `false` when the stream has been replaced or
    /// must end.
    pub(crate) fn poll_take(
        &self,
        ticket: Ticket,
        bytes: usize,
        taken: &mut Vec<Message>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        let mut inner = self.0.lock();
        if !inner.is_current(ticket) {
            return Poll::Ready(false);
        }
        let mut room = bytes;
        while let Some(message) = inner.messages.pop_front() {
            let length = rough_len(&message);
            inner.bytes -= length;
            room = room.saturating_sub(length);
            taken.push(message);
            if room == 0 {
                break;
            }
        }
        if taken.is_empty() {
            inner.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(true)
    }

    /// Ends a stream; the messages in the queue are lost. False if it had ended before.
    pub(crate) fn detach(&self, ticket: Ticket) -> bool {
        let mut inner = self.0.lock();
        let is_current = inner.is_current(ticket);
        if is_current {
            inner.end();
        }
        is_current
    }

    /// Ends the attached stream, if there is one.
    pub(crate) fn close(&self) {
        let mut inner = self.0.lock();
        inner.end();
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Inner {
    fn is_current(&self, ticket: Ticket) -> bool {
        self.is_attached && self.newest == ticket.0
    }

    fn end(&mut self) {
        self.is_attached = false;
        self.messages = VecDeque::new();
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

    fn take(queue: &MessageQueue, ticket: Ticket, bytes: usize) -> Poll<(bool, Vec<u64>)> {
        let mut taken = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        let polled = queue.poll_take(ticket, bytes, &mut taken, &mut cx);
        polled.map(|is_open| (is_open, taken.iter().map(Message::index).collect()))
    }

    #[test]
    fn a_newer_stream_takes_the_messages_of_the_older_one() {
        let queue = MessageQueue::default();
        assert!(matches!(queue.push(message(1)), Err(PushError::Detached(_))));
        let older = queue.attach();
        assert_eq!(take(&queue, older, 1), Poll::Pending);
        for index in 1..4 {
            queue.push(message(index)).expect("it is attached");
        }
        assert_eq!(take(&queue, older, 1), Poll::Ready((true, vec![1])));
        let newer = queue.attach();
        assert_eq!(take(&queue, older, 1), Poll::Ready((false, vec![])));
        assert!(!queue.detach(older));
        assert_eq!(take(&queue, newer, 1000), Poll::Ready((true, vec![2, 3])));
        assert!(queue.detach(newer));
        assert!(!queue.is_attached());
    }

    #[test]
    fn waiting_messages_are_lost_with_the_last_stream() {
        let queue = MessageQueue::default();
        let ticket = queue.attach();
        queue.push(message(1)).expect("it is attached");
        queue.close();
        assert_eq!(take(&queue, ticket, 1), Poll::Ready((false, vec![])));
        let ticket = queue.attach();
        assert_eq!(take(&queue, ticket, 1), Poll::Pending);
    }

    #[test]
    fn the_queue_is_bounded_by_number_and_bytes() {
        let queue = MessageQueue::default();
        queue.attach();
        let pushed = (0..).take_while(|index| queue.push(message(*index)).is_ok()).count();
        assert_eq!(pushed, MESSAGES_MAX);

        let queue = MessageQueue::default();
        queue.attach();
        let large = |size| {
            let entry = Entry { data: Some(vec![0; size].into()), ..Entry::default() };
            Message { entries: vec![entry], ..Message::default() }
        };
        queue.push(large(BYTES_MAX + 1)).expect("the first is taken whatever its size");
        assert!(matches!(queue.push(large(1)), Err(PushError::Full)));
        let queue = MessageQueue::default();
        queue.attach();
        let pushed = (0..).take_while(|_| queue.push(large(1 << 20)).is_ok()).count();
        assert_eq!(pushed, 63);
    }
}
