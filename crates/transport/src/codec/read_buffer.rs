//! What has been received and not been read.

use bytes::{Buf, Bytes, BytesMut};

/// The received bytes of a stream. Parts that lie within one received chunk are given out without a copy.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// What the network gave last.
    chunk: Bytes,
    /// The beginning of a part that goes on in later chunks. It grows with what arrives.
    begun: BytesMut,
}

impl Inbound {
    /// Adds what was received. Everything before must have been asked for.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if self.chunk.has_remaining() {
            self.begun.extend_from_slice(&self.chunk);
        }
        self.chunk = chunk;
    }

    /// The next `n` bytes, or `None` if some of them are to come; the same part must be asked for again then.
    pub(crate) fn take(&mut self, n: usize) -> Option<Bytes> {
        if self.begun.is_empty() && self.chunk.len() >= n {
            return Some(self.chunk.split_to(n));
        }
        if self.begun.len() < n {
            let missing = (n - self.begun.len()).min(self.chunk.len());
            self.begun.extend_from_slice(&self.chunk.split_to(missing));
        }
        (self.begun.len() >= n).then(|| self.begun.split_to(n).freeze())
    }

    /// The next number of 8 bytes.
    pub(crate) fn take_u64(&mut self) -> Option<u64> {
        self.take(8).map(|mut bytes| bytes.get_u64())
    }

    /// Bytes that were received and not taken.
    pub(crate) fn len(&self) -> usize {
        self.begun.len() + self.chunk.len()
    }

    /// What was received and is not part of anything that was asked for.
    pub(crate) fn into_rest(mut self) -> Bytes {
        if self.begun.is_empty() {
            return self.chunk;
        }
        self.begun.extend_from_slice(&self.chunk);
        self.begun.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_however_the_network_cuts() {
        for cut in 0..=10 {
            let all = Bytes::from_static(b"0123456789");
            let mut inbound = Inbound::default();
            let mut parts = Vec::new();
            let mut sizes = [3, 0, 4].into_iter().peekable();
            for chunk in [all.slice(..cut), all.slice(cut..)] {
                inbound.push(chunk);
                while let Some(part) = sizes.peek().and_then(|n| inbound.take(*n)) {
                    sizes.next();
                    parts.push(part);
                }
            }
            assert_eq!(parts, [&b"012"[..], b"", b"3456"], "cut at {cut}");
            assert_eq!(inbound.into_rest(), &b"789"[..], "cut at {cut}");
        }
    }

    #[test]
    fn a_part_within_a_chunk_is_not_copied() {
        let chunk = Bytes::from(vec![7; 64]);
        let mut inbound = Inbound::default();
        inbound.push(chunk.clone());
        let part = inbound.take(10).expect("it is there");
        assert_eq!(part.as_ptr(), chunk.as_ptr());
    }
}
