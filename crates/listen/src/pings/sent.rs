//! The frames that the HTTP/2 library writes, as they pass (RFC 9113, 4.1).

use crate::authority::{HEAD_BYTES, HEADERS};

const DATA: u8 = 0;

/// How far the last frame has passed.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Of the head that has begun, `n_head` bytes.
    head: [u8; HEAD_BYTES],
    n_head: usize,
    /// Bytes of the payload that are to come.
    payload: usize,
}

impl Sent {
    /// Takes the next bytes. Returns whether the head of a frame with HEADERS or DATA is completed by them.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) -> bool {
        let mut is_of_call = false;
        while !bytes.is_empty() {
            if self.payload > 0 {
                let n = self.payload.min(bytes.len());
                (self.payload, bytes) = (self.payload - n, &bytes[n..]);
                continue;
            }
            let n = (HEAD_BYTES - self.n_head).min(bytes.len());
            self.head[self.n_head..][..n].copy_from_slice(&bytes[..n]);
            (self.n_head, bytes) = (self.n_head + n, &bytes[n..]);
            if self.n_head == HEAD_BYTES {
                let [a, b, c, kind, ..] = self.head;
                (self.n_head, self.payload) = (0, u32::from_be_bytes([0, a, b, c]) as usize);
                is_of_call |= matches!(kind, HEADERS | DATA);
            }
        }
        is_of_call
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        [&(payload as u32).to_be_bytes()[1..], &[kind, 0, 0, 0, 0, 1], &vec![0; payload]].concat()
    }

    #[test]
    fn frames_of_calls_are_seen_once_however_they_are_cut() {
        // Payloads of zeros would be taken for DATA if they were taken for heads.
        let frames = [(4, 18), (6, 8), (1, 30), (0, 0), (3, 4), (0, 20_000), (8, 4), (1, 1)];
        let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, *payload)).collect();
        let mut sent = Sent::default();
        assert_eq!(bytes.iter().filter(|byte| sent.pass(&[**byte])).count(), 4);
        for n in [2, 9, 10, 1000] {
            let mut sent = Sent::default();
            assert!(bytes.chunks(n).filter(|piece| sent.pass(piece)).count() > 0);
            assert_eq!((sent.n_head, sent.payload), (0, 0), "in pieces of {n}");
        }
        assert!(!Sent::default().pass(&[frame(4, 18), frame(6, 8)].concat()));
    }
}
