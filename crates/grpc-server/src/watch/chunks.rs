//! What goes to a client next, in pieces that are handed to the connection one by one.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Shared bytes of at least this size are passed on as they are; below it a copy costs less than a piece of
/// its own.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// What is handed over at once, if it comes from one of those. While a thousand streams read history, the calls
/// between them wait until each has had its turn.
const PIECE_BYTES_MAX: usize = 16 << 10;

/// A queue of bytes.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// Before the buffer.
    whole: VecDeque<Bytes>,
    buffer: BytesMut,
}

impl Chunks {
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.buffer.is_empty()
    }

    /// Makes room for so many bytes, or for what of them is not likely to be passed on as it is.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.buffer.reserve(bytes.min(SHARED_BYTES_MIN));
    }

    /// The end of the queue, to write to.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Appends bytes that others may have too.
    pub(super) fn push(&mut self, shared: &Bytes) {
        if shared.len() < SHARED_BYTES_MIN {
            self.buffer.extend_from_slice(shared);
            return;
        }
        let before = std::mem::take(&mut self.buffer).freeze();
        self.whole.extend([before, shared.clone()].into_iter().filter(|chunk| !chunk.is_empty()));
    }

    /// Takes the next piece. The buffer goes as a whole and is not kept.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let Some(first) = self.whole.front_mut() else {
            return (!self.buffer.is_empty()).then(|| std::mem::take(&mut self.buffer).freeze());
        };
        let piece = first.split_to(first.len().min(PIECE_BYTES_MAX));
        if first.is_empty() {
            self.whole.pop_front();
        }
        if self.whole.is_empty() {
            // What one burst needed is not kept either.
            self.whole = VecDeque::new();
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept_and_large_pieces_are_not_copied() {
        let large = Bytes::from(vec![7; PIECE_BYTES_MAX]);
        let mut chunks = Chunks::default();
        chunks.push(&large);
        chunks.buffer().extend_from_slice(b"a");
        chunks.push(&Bytes::from_static(b"b"));
        chunks.push(&large);
        chunks.push(&Bytes::from_static(b"c"));
        let taken: Vec<_> = std::iter::from_fn(|| chunks.pop()).collect();
        assert_eq!(taken, [large.clone(), "ab".into(), large.clone(), "c".into()]);
        assert!(taken[0].as_ptr() == large.as_ptr() && chunks.is_empty());
    }

    #[test]
    fn no_piece_is_too_large() {
        let large = Bytes::from_iter((0..=255_u8).cycle().take(2 * PIECE_BYTES_MAX + 5));
        let mut chunks = Chunks::default();
        chunks.push(&large);
        let taken: Vec<_> = std::iter::from_fn(|| chunks.pop()).collect();
        assert_eq!(taken.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE_BYTES_MAX, PIECE_BYTES_MAX, 5]);
        assert!(taken.concat() == large && chunks.is_empty());
    }
}
