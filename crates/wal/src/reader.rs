//! Reads one segment record by record and judges what it meets.
//!
//! A write that a crash cut short leaves a *torn* record, recognised as
//!
//! - a record longer than the rest of the file,
//! - a bad record of which some 512-byte sector is all zeros: sectors reach the disk whole, in any order, and a
//!   segment is all zeros before it is written, or
//! - a bad record that ends in a zero with only zeros behind it in the file: a write that stopped inside a sector,
//!   as one does when the process is killed.
//!
//! Anything else that is bad was damaged after it was written. Whether a torn record is acceptable is the caller's
//! to decide: only the last segment may have one. The third form is this crate's own, etcd stops at it.

use std::io;

use crate::record::{Kind, WORD_BYTES, split_length_word, take_record};
use crate::{Fault, File};

/// Bytes read at once; more if a record is larger, never more than the file has.
const WINDOW_BYTES: u64 = 256 << 10;

/// Bytes that a disk writes as a whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// A record that is intact.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) data: &'a [u8],
}

#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    Bad { fault: Fault, torn: bool },
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Debug)]
pub(crate) struct SegmentReader<'a> {
    file: &'a dyn File,
    file_bytes: u64,
    /// Where the next frame starts. After an error, where the bad one starts.
    offset: u64,
    /// The running checksum; nothing until the first record of the first segment.
    crc: Option<u32>,
    /// A piece of the file, and where it starts.
    window: Vec<u8>,
    window_start: u64,
}

impl<'a> SegmentReader<'a> {
    /// Starts at the beginning of `file`; `crc` is the checksum that the segment before ended with, if one was read.
    pub(crate) fn new(file: &'a dyn File, crc: Option<u32>) -> io::Result<Self> {
        let file_bytes = file.size()?;
        Ok(Self { file, file_bytes, offset: 0, crc, window: Vec::new(), window_start: 0 })
    }

    /// The end of the last intact record.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The checksum over everything up to [`SegmentReader::offset`].
    pub(crate) fn crc(&self) -> Option<u32> {
        self.crc
    }

    /// The next record, or nothing at the end of the data.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        let remaining = self.file_bytes - self.offset;
        if remaining < WORD_BYTES {
            return self.end_inside_length_word(remaining);
        }
        let word =
            u64::from_le_bytes(*self.bytes(self.offset, WORD_BYTES)?.first_chunk().expect("8 were read"));
        if word == 0 {
            return Ok(None);
        }
        let start = self.offset + WORD_BYTES;
        let Some((len, n_zeros)) = split_length_word(word) else {
            let torn = self.only_zeros_from(start)?;
            return Err(ReadError::Bad { fault: Fault::LengthWord { word }, torn });
        };
        if len + n_zeros > remaining - WORD_BYTES {
            return Err(ReadError::Bad { fault: Fault::PastEnd { len }, torn: true });
        }

        let end = start + len + n_zeros;
        let own_crc = self.crc;
        let record = &self.bytes(start, end - start)?[..len as usize];
        match check(record, own_crc) {
            Ok((kind, crc)) => {
                self.crc = Some(crc);
                self.offset = end;
                let data = take_record(self.bytes(start, len)?).expect("it was just checked").data;
                Ok(Some(Record { kind, data }))
            }
            Err(fault) => {
                let torn = may_be_torn(fault)
                    && (has_zero_sector(self.bytes(start, end - start)?, start)
                        || self.only_zeros_from(start + len - 1)?);
                Err(ReadError::Bad { fault, torn })
            }
        }
    }

    /// A file cut inside a length word is torn unless nothing was written there.
    fn end_inside_length_word(&mut self, remaining: u64) -> Result<Option<Record<'_>>, ReadError> {
        if self.only_zeros_from(self.offset)? {
            return Ok(None);
        }
        Err(ReadError::Bad { fault: Fault::PastEnd { len: remaining }, torn: true })
    }

    fn only_zeros_from(&mut self, mut offset: u64) -> io::Result<bool> {
        while offset < self.file_bytes {
            let len = WINDOW_BYTES.min(self.file_bytes - offset);
            if self.bytes(offset, len)?.iter().any(|&b| b != 0) {
                return Ok(false);
            }
            offset += len;
        }
        Ok(true)
    }

    /// `len` bytes at `offset`, which must lie within the file.
    fn bytes(&mut self, offset: u64, len: u64) -> io::Result<&[u8]> {
        assert!(offset + len <= self.file_bytes, "callers check lengths against the file");
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || offset + len > window_end {
            let window_bytes = len.max(WINDOW_BYTES).min(self.file_bytes - offset);
            self.window.clear();
            self.window.resize(window_bytes as usize, 0);
            self.window_start = offset;
            self.file.read_at(&mut self.window, offset)?;
        }
        let from = (offset - self.window_start) as usize;
        Ok(&self.window[from..from + len as usize])
    }
}

/// The record's kind and the checksum after it.
fn check(bytes: &[u8], own_crc: Option<u32>) -> Result<(Kind, u32), Fault> {
    let record = take_record(bytes).map_err(|_| Fault::Record)?;
    let kind = Kind::from_number(record.kind);
    let expected = match kind {
        // The head of a segment repeats the checksum of the one before; a scan that starts here has none to compare.
        Some(Kind::Checksum) => own_crc.unwrap_or(record.crc),
        _ => crc32c::crc32c_append(own_crc.unwrap_or(0), record.data),
    };
    if record.crc != expected {
        return Err(Fault::Checksum { expected, found: record.crc });
    }
    Ok((kind.ok_or(Fault::Kind { kind: record.kind })?, expected))
}

/// A record with the right checksum was written as it is, whatever its content.
fn may_be_torn(fault: Fault) -> bool {
    matches!(fault, Fault::Record | Fault::Checksum { .. })
}

/// Whether one of the sectors that `bytes` lie in, at `offset` of the file, has only zeros among them.
fn has_zero_sector(mut bytes: &[u8], mut offset: u64) -> bool {
    while !bytes.is_empty() {
        let in_sector = (SECTOR_BYTES - offset % SECTOR_BYTES).min(bytes.len() as u64);
        let (sector, rest) = bytes.split_at(in_sector as usize);
        if sector.iter().all(|&b| b == 0) {
            return true;
        }
        offset += in_sector;
        bytes = rest;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_counted_from_the_start_of_the_file() {
        let check = |offset, zeros: std::ops::Range<usize>, expected| {
            let mut bytes = [1; 1500];
            bytes[zeros.clone()].fill(0);
            assert_eq!(has_zero_sector(&bytes, offset), expected, "{offset} {zeros:?}");
        };
        check(0, 0..512, true);
        check(0, 1..513, false);
        check(0, 1024..1500, true); // the part of the last sector that the record reaches
        check(0, 1025..1500, false);
        check(504, 0..8, true);
        check(504, 8..519, false);
        check(504, 8..520, true);
    }
}
