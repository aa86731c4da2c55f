//! The bytes that go to a client next, handed to the connection chunk by chunk.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Shared bytes of at least this size are passed on as they are; below it a copy costs less than a chunk of
/// its own.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// Bytes of those that are handed over at once. While a thousand streams read history, the calls between them wait
/// until each has had its turn.
const CHUNK_BYTES_MAX: usize = 16 << 10;

/// A queue of bytes.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    /// Before the buffer.
    whole: VecDeque<Bytes>,
    buffer: BytesMut,
}

impl SendQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.buffer.is_empty()
    }

    /// Makes room for so many bytes, or for the part of them that is likely to be copied.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.buffer.reserve(bytes.min(SHARED_BYTES_MIN));
    }

    /// The end of the queue, to write to.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Appends bytes that other streams may share.
    pub(super) fn push(&mut self, shared: &Bytes) {
        if shared.len() < SHARED_BYTES_MIN {
            self.buffer.extend_from_slice(shared);
            return;
        }
        let before = std::mem::take(&mut self.buffer).freeze();
        self.whole.extend([before, shared.clone()].into_iter().filter(|chunk| !chunk.is_empty()));
    }

    /// Takes the next chunk. The buffer goes as a whole and is not kept.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let Some(first) = self.whole.front_mut() else {
            return (!self.buffer.is_empty()).then(|| std::mem::take(&mut self.buffer).freeze());
        };
        let chunk = first.split_to(first.len().min(CHUNK_BYTES_MAX));
        if first.is_empty() {
            self.whole.pop_front();
        }
        if self.whole.is_empty() {
            // What one burst needed is not kept either.
            self.whole = VecDeque::new();
        }
        Some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_large_bytes_are_not_copied() {
        let large = Bytes::from(vec![7; CHUNK_BYTES_MAX]);
        let mut queue = SendQueue::default();
        queue.push(&large);
        queue.buffer().extend_from_slice(b"a");
        queue.push(&Bytes::from_static(b"b"));
        queue.push(&large);
        queue.push(&Bytes::from_static(b"c"));
        let taken: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(taken, [large.clone(), "ab".into(), large.clone(), "c".into()]);
        assert!(taken[0].as_ptr() == large.as_ptr() && queue.is_empty());
    }

    #[test]
    fn no_chunk_is_too_large() {
        let large = Bytes::from_iter((0..=255_u8).cycle().take(2 * CHUNK_BYTES_MAX + 5));
        let mut queue = SendQueue::default();
        queue.push(&large);
        let taken: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(taken.iter().map(Bytes::len).collect::<Vec<_>>(), [CHUNK_BYTES_MAX, CHUNK_BYTES_MAX, 5]);
        assert!(taken.concat() == large && queue.is_empty());
    }
}
