//! The messages of a response as their bytes arrive: their lengths are read and their content is skipped.

use crate::http2::GRPC_HEAD_BYTES;

/// The response to one list.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The beginning of a message's head, whose rest has not arrived.
    piece: Vec<u8>,
    /// Bytes of the current message that have not arrived.
    left: usize,
    n_messages: u64,
    bytes: u64,
}

/// These are not messages of gRPC, or they are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Answer {
    /// Takes in the payload of one DATA frame.
    pub(super) fn feed(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        self.bytes += payload.len() as u64;
        let mut rest = payload;
        loop {
            let skipped = self.left.min(rest.len());
            self.left -= skipped;
            rest = &rest[skipped..];
            if rest.is_empty() {
                return Ok(());
            }
            let missing = GRPC_HEAD_BYTES - self.piece.len();
            let (head, after) = rest.split_at(missing.min(rest.len()));
            self.piece.extend_from_slice(head);
            rest = after;
            if let Some([compressed, length @ ..]) = self.piece.first_chunk::<GRPC_HEAD_BYTES>() {
                if *compressed != 0 {
                    return Err(Malformed);
                }
                self.left = u32::from_be_bytes(*length) as usize;
                self.n_messages += 1;
                self.piece.clear();
            }
        }
    }

    /// Bytes that have arrived, the heads of messages included.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Are there messages, and is the last one complete?
    pub(super) fn is_whole(&self) -> bool {
        self.n_messages > 0 && self.left == 0 && self.piece.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_same_however_they_are_cut() {
        let bytes = [0, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        let ends = [8, 13, 19];
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let mut answer = Answer::default();
                for (piece, arrived) in
                    [(&bytes[..first], first), (&bytes[first..second], second), (&bytes[second..], 19)]
                {
                    answer.feed(piece).unwrap();
                    assert_eq!(answer.is_whole(), ends.contains(&arrived), "{arrived}");
                    assert_eq!(answer.bytes(), arrived as u64);
                }
                assert_eq!(answer.n_messages, 3);
            }
        }
        assert_eq!(Answer::default().feed(&[1, 0, 0, 0, 0]), Err(Malformed));
    }
}
