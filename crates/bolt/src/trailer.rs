//! The hash that makes an image a snapshot file.
//!
//! ```text
//! | image, a multiple of 512 bytes | SHA-256 of the image, 32 bytes |
//! ```
//!
//! So the length distinguishes a snapshot from a copy of a database, which has no hash.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use crate::{Image, ReadError};

/// Length of the hash behind an image.
pub const TRAILER_BYTES: usize = 32;

/// The lengths of images are multiples of it, whatever their page size.
const SECTOR_BYTES: u64 = 512;

/// The result of [`check_trailer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trailer {
    /// The hash of the image.
    Intact,
    /// Nothing, as in a database file.
    Absent,
}

/// Compares the image with the hash behind it. Reads all of it, in pieces.
///
/// # Errors
///
/// When the image cannot be read, does not match, or has a length that neither a snapshot nor a database has.
pub fn check_trailer(image: &impl Image) -> Result<Trailer, ReadError> {
    const PIECE_BYTES: u64 = 64 << 10;
    let size = image.size().map_err(ReadError::Size)?;
    let end = match size % SECTOR_BYTES {
        0 => return Ok(Trailer::Absent),
        rest if rest == TRAILER_BYTES as u64 => size - rest,
        _ => return Err(ReadError::Length { size }),
    };
    let read = |out: &mut [u8], offset| {
        let len = out.len();
        image.read_at(out, offset).map_err(|source| ReadError::Io { offset, len, source })
    };
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES as usize];
    for offset in (0..end).step_by(PIECE_BYTES as usize) {
        let piece = &mut piece[..PIECE_BYTES.min(end - offset) as usize];
        read(piece, offset)?;
        hash.update(piece);
    }
    let mut trailer = [0; TRAILER_BYTES];
    read(&mut trailer, end)?;
    match hash.finalize()[..] == trailer {
        true => Ok(Trailer::Intact),
        false => Err(ReadError::Hash),
    }
}

/// Passes bytes on and hashes them.
#[derive(Debug)]
pub struct HashWriter<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> HashWriter<W> {
    /// Begins with no bytes hashed.
    pub fn new(out: W) -> Self {
        Self { out, hash: Sha256::new() }
    }

    /// The output and the hash of what went into it. Appending the one to the other makes a snapshot file; a stream
    /// has its own place for it.
    pub fn finish(self) -> (W, [u8; TRAILER_BYTES]) {
        (self.out, self.hash.finalize().into())
    }
}

impl<W: Write> Write for HashWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_written = self.out.write(bytes)?;
        self.hash.update(&bytes[..n_written]);
        Ok(n_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
