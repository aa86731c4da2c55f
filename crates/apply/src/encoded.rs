//! Encoded messages whose lists of rows are still to be read.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use ferretcd_mvcc::{Access, ReadError, Step};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::range::{ListedRows, READ_BYTES};

/// Parts at least as long are not copied from one level of a message to the one around it.
const COPIED_BYTES_MAX: usize = 1 << 10;

/// An encoded message whose lists are still to be read. Its length is known.
#[derive(Debug, Default)]
pub struct Encoded {
    parts: VecDeque<Part>,
    bytes: u64,
}

#[derive(Debug)]
enum Part {
    Bytes(BytesMut),
    Rows { field: u32, rows: Box<ListedRows> },
}

impl Encoded {
    pub(crate) fn of(message: &impl Message) -> Self {
        let mut encoded = Self::default();
        encoded.push_message(message);
        encoded
    }

    /// Bytes of the message that are still to be taken.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The bytes at the end, to append to.
    fn tail(&mut self) -> &mut BytesMut {
        if !matches!(self.parts.back(), Some(Part::Bytes(_))) {
            self.parts.push_back(Part::Bytes(BytesMut::new()));
        }
        match self.parts.back_mut() {
            Some(Part::Bytes(bytes)) => bytes,
            _ => unreachable!("bytes were pushed"),
        }
    }

    /// Appends the fields of a message.
    pub(crate) fn push_message(&mut self, message: &impl Message) {
        self.bytes += message.encoded_len() as u64;
        message.encode(self.tail()).expect("the buffer grows");
    }

    /// Appends a message as a field.
    pub(crate) fn push_field(&mut self, field: u32, inner: Self) {
        let tail = self.tail();
        let len_before = tail.len();
        encode_key(field, WireType::LengthDelimited, tail);
        encode_varint(inner.bytes, tail);
        self.bytes += (self.tail().len() - len_before) as u64 + inner.bytes;
        for part in inner.parts {
            match part {
                Part::Bytes(bytes) if bytes.len() < COPIED_BYTES_MAX => self.tail().put_slice(&bytes),
                part => self.parts.push_back(part),
            }
        }
    }

    pub(crate) fn push_rows(&mut self, field: u32, rows: ListedRows) {
        self.bytes += rows.bytes();
        self.parts.push_back(Part::Rows { field, rows: Box::new(rows) });
    }

    /// Takes the next bytes off, about so many, in chunks. From memory alone it never blocks, and takes some hundred
    /// microseconds at most; then it may stop early.
    pub fn take(&mut self, bytes: usize, access: Access) -> Result<Vec<Bytes>, ReadError> {
        let mut chunks = Chunks::new(bytes);
        let (mut rows_read, mut is_cut) = (Vec::new(), false);
        while let Some(part) = self.parts.front_mut()
            && let Some(room) = chunks.room()
            && !is_cut
        {
            let is_done = match part {
                Part::Bytes(part) => {
                    chunks.push(part.split_to(part.len().min(room)).freeze());
                    part.is_empty()
                }
                Part::Rows { field, rows } => {
                    let step = rows.read(room, access, &mut rows_read)?;
                    // There may have been many keys before these rows.
                    is_cut = access == Access::Memory && step != Step::End;
                    for row in rows_read.drain(..) {
                        chunks.push_row(*field, row);
                    }
                    step == Step::End
                }
            };
            if is_done {
                self.parts.pop_front();
            }
        }
        let chunks = chunks.finish();
        self.bytes -= chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        Ok(chunks)
    }
}

/// Rows at least as long are not copied.
const SHARED_BYTES_MIN: usize = 8 << 10;

/// Chunks that are being put together.
struct Chunks {
    done: Vec<Bytes>,
    /// Copies of short pieces, behind what is done.
    copied: BytesMut,
    bytes_left: usize,
}

impl Chunks {
    fn new(bytes: usize) -> Self {
        Self { done: Vec::new(), copied: BytesMut::new(), bytes_left: bytes }
    }

    /// Bytes that are still to come, if any.
    fn room(&self) -> Option<usize> {
        (self.bytes_left > 0).then_some(self.bytes_left)
    }

    fn push_row(&mut self, field: u32, row: Bytes) {
        let len_before = self.copied.len();
        self.reserve();
        encode_key(field, WireType::LengthDelimited, &mut self.copied);
        encode_varint(row.len() as u64, &mut self.copied);
        self.bytes_left = self.bytes_left.saturating_sub(self.copied.len() - len_before);
        self.push(row);
    }

    fn push(&mut self, bytes: Bytes) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len());
        if bytes.len() < SHARED_BYTES_MIN {
            self.reserve();
            self.copied.put_slice(&bytes);
        } else {
            self.done.extend((!self.copied.is_empty()).then(|| self.copied.split().freeze()));
            self.done.push(bytes);
        }
    }

    /// Copies are made in one allocation: what is left, a row that ends beyond it, and its head.
    fn reserve(&mut self) {
        if self.copied.capacity() == 0 {
            self.copied.reserve(self.bytes_left.min(READ_BYTES) + SHARED_BYTES_MIN + 16);
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.done.extend((!self.copied.is_empty()).then(|| self.copied.freeze()));
        self.done
    }
}
