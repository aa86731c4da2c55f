//! Positions in the history of the key space.

use std::fmt;

/// A position in the store's history: one `main` per applied transaction that changes something, one `sub`
/// per change in it, from 0. Ordered by `(main, sub)`, which is also the byte order of [`Self::to_bytes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// Number of the transaction. The first write of a store has 2; an empty store is at 1.
    pub main: i64,
    /// Number of the change in its transaction.
    pub sub: i64,
}

/// The separator between the two numbers on disk.
const SEPARATOR: u8 = b'_';

impl Revision {
    /// Length of [`Self::to_bytes`].
    pub const ENCODED_LEN: usize = 17;

    /// A revision from its two numbers.
    pub const fn new(main: i64, sub: i64) -> Self {
        Self { main, sub }
    }

    /// etcd's form on disk: 8 bytes of `main`, `_`, 8 bytes of `sub`, both big-endian.
    pub fn to_bytes(self) -> [u8; Self::ENCODED_LEN] {
        let mut bytes = [SEPARATOR; Self::ENCODED_LEN];
        bytes[..8].copy_from_slice(&self.main.to_be_bytes());
        bytes[9..].copy_from_slice(&self.sub.to_be_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote. Any other length or separator is an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseRevisionError> {
        let bytes: &[u8; Self::ENCODED_LEN] = bytes.try_into().map_err(|_| ParseRevisionError)?;
        let (main, rest) = bytes.split_first_chunk().ok_or(ParseRevisionError)?;
        let (separator, sub) = rest.split_first_chunk().ok_or(ParseRevisionError)?;
        let sub = sub.try_into().map_err(|_| ParseRevisionError)?;
        if separator != &[SEPARATOR] {
            return Err(ParseRevisionError);
        }
        Ok(Self { main: i64::from_be_bytes(*main), sub: i64::from_be_bytes(sub) })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.main, self.sub)
    }
}

/// The bytes are not those of a [`Revision`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read a revision: expected 8 bytes, `_`, 8 bytes")]
pub struct ParseRevisionError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_etcds_form_and_order() {
        let revision = Revision::new(2, 0);
        assert_eq!(revision.to_bytes(), *b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0");
        assert_eq!(Revision::from_bytes(&revision.to_bytes()), Ok(revision));
        assert!(Revision::new(2, 1).to_bytes() < Revision::new(3, 0).to_bytes());
    }

    #[test]
    fn other_bytes_are_rejected() {
        for bytes in
            [&b""[..], b"\0\0\0\0\0\0\0\x02-\0\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\x02_\0\0\0\0\0\0\0\0t"]
        {
            assert_eq!(Revision::from_bytes(bytes), Err(ParseRevisionError), "{bytes:?}");
        }
    }
}
