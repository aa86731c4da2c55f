//! Bytes that have been received and not been read.

use bytes::{Buf, Bytes, BytesMut};

/// The received bytes of a stream. A slice within one chunk is returned without a copy.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    /// The last chunk of the network.
    chunk: Bytes,
    /// The beginning of a slice that continues in later chunks. It grows with the bytes that arrive.
    begun: BytesMut,
}

impl ReadBuffer {
    /// Adds a chunk. The caller has tried to take all bytes before it.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if self.chunk.has_remaining() {
            self.begun.extend_from_slice(&self.chunk);
        }
        self.chunk = chunk;
    }

    /// The next `n` bytes, or `None` if some of them are missing; the caller must take the same slice again then.
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

    /// Bytes that have not been taken.
    pub(crate) fn len(&self) -> usize {
        self.begun.len() + self.chunk.len()
    }

    /// The bytes that have not been taken.
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
    fn slices_do_not_depend_on_chunk_boundaries() {
        for cut in 0..=10 {
            let all = Bytes::from_static(b"0123456789");
            let mut read_buffer = ReadBuffer::default();
            let mut slices = Vec::new();
            let mut sizes = [3, 0, 4].into_iter().peekable();
            for chunk in [all.slice(..cut), all.slice(cut..)] {
                read_buffer.push(chunk);
                while let Some(slice) = sizes.peek().and_then(|n| read_buffer.take(*n)) {
                    sizes.next();
                    slices.push(slice);
                }
            }
            assert_eq!(slices, [&b"012"[..], b"", b"3456"], "cut at {cut}");
            assert_eq!(read_buffer.into_rest(), &b"789"[..], "cut at {cut}");
        }
    }

    #[test]
    fn a_slice_within_a_chunk_is_not_copied() {
        let chunk = Bytes::from(vec![7; 64]);
        let mut read_buffer = ReadBuffer::default();
        read_buffer.push(chunk.clone());
        let slice = read_buffer.take(10).expect("it is there");
        assert_eq!(slice.as_ptr(), chunk.as_ptr());
    }
}
