//! Many small pieces of bytes in few allocations.

use bytes::{Bytes, BytesMut};

/// Bytes of an allocation at most, unless one piece needs more. A piece keeps its whole allocation in memory, so
/// allocations stay small.
const ALLOCATION_BYTES_MAX: usize = 32 << 10;

/// Allocates pieces from blocks that grow with their number: a single piece has a block of its own size.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    room: BytesMut,
    allocated: usize,
}

impl Arena {
    /// A piece of `len` bytes, which `write` appends.
    pub(crate) fn allocate(&mut self, len: usize, write: impl FnOnce(&mut BytesMut)) -> Bytes {
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
        let mut arena = Arena::default();
        let lens = [1, 0, 20, ALLOCATION_BYTES_MAX + 1, 7].into_iter().chain((0..1000).cycle().take(3000));
        let cut: Vec<_> = lens
            .clone()
            .enumerate()
            .map(|(n, len)| arena.allocate(len, |room| room.extend(std::iter::repeat_n(n as u8, len))))
            .collect();
        for ((n, len), piece) in lens.enumerate().zip(cut) {
            assert!(piece.len() == len && piece.iter().all(|byte| *byte == n as u8), "{n}");
        }
    }
}
