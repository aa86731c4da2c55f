//! Encoded bytes, in as few chunks of memory as possible.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ferretcd_api_proto::raftpb::{Entry, Message};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// Data of an entry of at least this length is shared instead of copied.
const SHARED_BYTES_MIN: usize = 16 << 10;
/// The field of a message that repeats entries.
const ENTRIES: u32 = 7;
/// The field of an entry with its data.
const DATA: u32 = 4;

/// Bytes in one or more chunks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    chunks: VecDeque<Bytes>,
    remaining: usize,
}

impl Chunks {
    fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.remaining += chunk.len();
            self.chunks.push_back(chunk);
        }
    }
}

impl From<Bytes> for Chunks {
    fn from(bytes: Bytes) -> Self {
        let mut chunks = Self::default();
        chunks.push(bytes);
        chunks
    }
}

impl Buf for Chunks {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| chunk)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.chunks);
        filled.map(|(slice, chunk)| *slice = IoSlice::new(chunk)).count()
    }

    fn advance(&mut self, mut n: usize) {
        assert!(n <= self.remaining, "advanced by {n} of {} bytes", self.remaining);
        self.remaining -= n;
        while n > 0 {
            let front = self.chunks.front_mut().expect("as many bytes remain as are counted");
            if n < front.len() {
                front.advance(n);
                return;
            }
            n -= front.len();
            self.chunks.pop_front();
        }
    }
}

/// Encodes messages and entries.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    chunks: Chunks,
    tail: BytesMut,
}

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.tail.put_u8(value);
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.tail.put_u64(value);
    }

    /// Writes the length of a message and the message.
    pub(crate) fn message(&mut self, mut message: Message) {
        let length = message.encoded_len();
        self.u64(length as u64);
        if !message.entries.iter().any(is_shared) {
            self.tail.reserve(length);
            message.encode(&mut self.tail).expect("the buffer grows");
            return;
        }
        // Fields may come in any order.
        let entries = std::mem::take(&mut message.entries);
        message.encode(&mut self.tail).expect("the buffer grows");
        for entry in entries {
            encode_key(ENTRIES, WireType::LengthDelimited, &mut self.tail);
            encode_varint(entry.encoded_len() as u64, &mut self.tail);
            self.entry_fields(entry);
        }
    }

    /// Writes the length of an entry and the entry.
    pub(crate) fn entry(&mut self, entry: Entry) {
        self.u64(entry.encoded_len() as u64);
        self.entry_fields(entry);
    }

    fn entry_fields(&mut self, mut entry: Entry) {
        if !is_shared(&entry) {
            entry.encode(&mut self.tail).expect("the buffer grows");
            return;
        }
        let data = entry.data.take().unwrap_or_default();
        entry.encode(&mut self.tail).expect("the buffer grows");
        encode_key(DATA, WireType::LengthDelimited, &mut self.tail);
        encode_varint(data.len() as u64, &mut self.tail);
        self.chunks.push(self.tail.split().freeze());
        self.chunks.push(data);
    }

    /// All bytes that were written.
    pub(crate) fn finish(mut self) -> Chunks {
        self.chunks.push(self.tail.freeze());
        self.chunks
    }
}

fn is_shared(entry: &Entry) -> bool {
    entry.data.as_ref().is_some_and(|data| data.len() >= SHARED_BYTES_MIN)
}

/// The length of a message, roughly and in constant time for each entry.
pub(crate) fn rough_len(message: &Message) -> usize {
    let of = |entry: &Entry| entry.data.as_ref().map_or(0, Bytes::len) + ENTRY_BYTES;
    message.entries.iter().map(of).sum::<usize>()
        + ENTRY_BYTES
        + message.context.as_ref().map_or(0, Bytes::len)
}

/// Memory of an entry beside its data.
const ENTRY_BYTES: usize = key_len(DATA) + encoded_len_varint(u64::MAX) + size_of::<Entry>();

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, size: usize) -> Entry {
        Entry { term: Some(3), index: Some(index), data: Some(vec![b'x'; size].into()), ..Entry::default() }
    }

    fn all(mut chunks: Chunks) -> Bytes {
        chunks.copy_to_bytes(chunks.remaining())
    }

    #[test]
    fn large_data_is_shared_and_the_message_is_the_same() {
        for sizes in [&[1, 2][..], &[10, SHARED_BYTES_MIN, 10], &[SHARED_BYTES_MIN + 1], &[]] {
            let entries: Vec<Entry> =
                sizes.iter().zip(1..).map(|(size, index)| entry(index, *size)).collect();
            let message = Message { term: Some(3), entries, commit: Some(9), ..Message::default() };
            let mut writer = Writer::default();
            writer.message(message.clone());
            let mut written = all(writer.finish());
            assert_eq!(written.get_u64(), written.len() as u64, "{sizes:?}");
            assert_eq!(Message::decode(written).expect("own bytes"), message, "{sizes:?}");
        }
        let data = Bytes::from(vec![0; SHARED_BYTES_MIN]);
        let mut writer = Writer::default();
        writer.entry(Entry { data: Some(data.clone()), ..Entry::default() });
        let chunks = writer.finish();
        assert!(chunks.chunks.iter().any(|chunk| chunk.as_ptr() == data.as_ptr()));
    }

    #[test]
    fn pieces_are_read_one_after_the_other() {
        let mut chunks = Chunks::default();
        for chunk in ["ab", "", "cde", "f"] {
            chunks.push(chunk.into());
        }
        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(chunks.chunks_vectored(&mut slices), 3);
        chunks.advance(3);
        assert_eq!((chunks.chunk(), chunks.remaining()), (&b"de"[..], 3));
        assert_eq!(all(chunks), "def");
    }
}
