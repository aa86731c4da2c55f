//! Many small pieces of bytes out of few allocations.

use bytes::{Bytes, BytesMut};

/// An allocation at most, unless one piece needs more. Whoever keeps a piece keeps its whole allocation, so it is not
/// to be large.
const ALLOCATION_BYTES_MAX: usize = 32 << 10;

/// Cuts pieces from allocations that grow with their number: one piece alone has its own size.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    room: BytesMut,
    allocated: usize,
}

impl Pieces {
    /// A piece of `len` bytes, which `write` appends.
    pub(crate) fn cut(&mut self, len: usize, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        if self.room.capacity() < len {
            self.allocated = (4 * self.allocated).min(ALLOCATION_BYTES_MAX).max(len);
            self.room = BytesMut::with_capacity(self.allocated);
        }
        write(&mut self.room);
        let piece = self.room.split().freeze();
        assert_eq!(piece.len(), len, "a piece is as long as was said");
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_what_was_written() {
        let mut pieces = Pieces::default();
        let lens = [1, 0, 20, ALLOCATION_BYTES_MAX + 1, 7].into_iter().chain((0..1000).cycle().take(3000));
        let cut: Vec<_> = lens
            .clone()
            .enumerate()
            .map(|(n, len)| pieces.cut(len, |room| room.extend(std::iter::repeat_n(n as u8, len))))
            .collect();
        for ((n, len), piece) in lens.enumerate().zip(cut) {
            assert!(piece.len() == len && piece.iter().all(|byte| *byte == n as u8), "{n}");
        }
    }
}
