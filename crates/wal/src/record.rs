//! Records and the frames around them.
//!
//! ```text
//! | length word, 8 bytes LE | record: 08 type, 10 crc, 1a length data | zeros to a multiple of 8 |
//! ```
//!
//! The low 56 bits of the length word are the record's length. The top byte is 0 when that is a multiple of 8,
//! else 0x80 plus the number of zeros that follow. A length word of 0 is the end of the data. The checksum runs over
//! the data of all records of the log, across segments.

use crate::message::{put_entry_head, put_hard_state, put_mark};
use crate::proto::{Fields, Malformed, Value, put_bytes_head, put_number, varint_len};
use crate::{Entry, HardState, SnapshotMark};

/// Bytes of a length word.
pub(crate) const WORD_BYTES: u64 = 8;

/// A buffer larger than this is given back after use: an unusually large append must not stay in memory.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// The kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Metadata,
    Entry,
    HardState,
    /// No data: the running checksum at the head of a segment.
    Checksum,
    Mark,
}

impl Kind {
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Metadata,
            2 => Self::Entry,
            3 => Self::HardState,
            4 => Self::Checksum,
            5 => Self::Mark,
            _ => return None,
        })
    }

    fn number(self) -> u64 {
        match self {
            Self::Metadata => 1,
            Self::Entry => 2,
            Self::HardState => 3,
            Self::Checksum => 4,
            Self::Mark => 5,
        }
    }
}

/// The length word of a record of `len` bytes, and how many zeros follow it.
fn length_word(len: usize) -> (u64, usize) {
    let n_zeros = len.next_multiple_of(8) - len;
    let top = if n_zeros == 0 { 0 } else { 0x80 | n_zeros as u64 };
    (len as u64 | top << 56, n_zeros)
}

/// The record's length and its zeros, or nothing if the two contradict each other.
pub(crate) fn split_length_word(word: u64) -> Option<(u64, u64)> {
    let (len, top) = (word & (u64::MAX >> 8), word >> 56);
    let n_zeros = match top {
        0 => 0,
        0x81..=0x87 => top - 0x80,
        _ => return None,
    };
    (len + n_zeros).is_multiple_of(8).then_some((len, n_zeros))
}

/// A record as read, before its type and checksum are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawRecord<'a> {
    pub(crate) kind: u64,
    pub(crate) crc: u32,
    pub(crate) data: &'a [u8],
}

pub(crate) fn take_record(bytes: &[u8]) -> Result<RawRecord<'_>, Malformed> {
    let mut record = RawRecord { kind: 0, crc: 0, data: &[] };
    for field in Fields::new(bytes) {
        match field? {
            (1, Value::Varint(v)) => record.kind = v,
            (2, Value::Varint(v)) => record.crc = u32::try_from(v).map_err(|_| Malformed)?,
            (3, Value::Bytes(v)) => record.data = v,
            (1..=3, _) => return Err(Malformed),
            _ => {}
        }
    }
    Ok(record)
}

/// Collects framed records for one write and carries the running checksum.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// The checksum over the data of all records so far, written or only collected.
    crc: u32,
    frames: Vec<u8>,
    /// Scratch for a record's data, or the part of it before an entry's payload.
    head: Vec<u8>,
}

impl Encoder {
    /// Continues after records whose checksum is `crc`; 0 for a new log.
    pub(crate) fn new(crc: u32) -> Self {
        Self { crc, frames: Vec::new(), head: Vec::new() }
    }

    pub(crate) fn checksum(&mut self) {
        self.record(Kind::Checksum, &[]);
    }

    pub(crate) fn metadata(&mut self, encoded: &[u8]) {
        self.head.extend_from_slice(encoded);
        self.record(Kind::Metadata, &[]);
    }

    pub(crate) fn entry(&mut self, entry: &Entry) {
        put_entry_head(&mut self.head, entry);
        self.record(Kind::Entry, &entry.data);
    }

    pub(crate) fn hard_state(&mut self, state: &HardState) {
        put_hard_state(&mut self.head, state);
        self.record(Kind::HardState, &[]);
    }

    pub(crate) fn mark(&mut self, mark: &SnapshotMark) {
        put_mark(&mut self.head, mark);
        self.record(Kind::Mark, &[]);
    }

    /// The frames collected since the last [`Encoder::clear`].
    pub(crate) fn frames(&self) -> &[u8] {
        &self.frames
    }

    /// Forgets the collected frames, which have been written.
    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.frames.shrink_to(BUFFER_BYTES_KEPT);
    }

    /// Frames a record whose data is the scratch followed by `body`.
    fn record(&mut self, kind: Kind, body: &[u8]) {
        self.crc = crc32c::crc32c_append(crc32c::crc32c_append(self.crc, &self.head), body);
        let data_len = self.head.len() + body.len();
        let mut len = 2 + 1 + varint_len(u64::from(self.crc));
        if kind != Kind::Checksum {
            len += 1 + varint_len(data_len as u64) + data_len;
        }
        let (word, n_zeros) = length_word(len);

        self.frames.extend_from_slice(&word.to_le_bytes());
        let start = self.frames.len();
        put_number(&mut self.frames, 1, kind.number());
        put_number(&mut self.frames, 2, u64::from(self.crc));
        if kind != Kind::Checksum {
            put_bytes_head(&mut self.frames, 3, data_len);
            self.frames.extend_from_slice(&self.head);
            self.frames.extend_from_slice(body);
        }
        debug_assert_eq!(self.frames.len() - start, len, "the length word must match the record");
        self.frames.extend_from_slice(&[0; 7][..n_zeros]);
        self.head.clear();
    }
}

#[cfg(test)]
mod tests;
