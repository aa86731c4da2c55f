//! Keys as the index knows them, and which of them a read is about.

use bytes::Bytes;
use ferretcd_base::Revision;

use crate::key_index::Stamp;
use crate::row::Fields;

/// A key that exists, as the index knows it: everything but value and lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyState<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Main revision of the put that created the key.
    pub create_revision: i64,
    /// Main revision of the last put.
    pub mod_revision: i64,
    /// Number of puts since the key was created.
    pub version: i64,
    /// The row of the last put.
    pub row: RowId,
}

/// Where a row is, and how long; 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowId {
    pub(crate) main: i64,
    pub(crate) sub: u32,
    pub(crate) bytes: u32,
}

impl RowId {
    fn of(stamp: &Stamp) -> Self {
        Self { main: stamp.main, sub: stamp.sub, bytes: stamp.row_bytes }
    }

    /// Bytes of the row.
    pub fn row_bytes(self) -> usize {
        self.bytes as usize
    }

    pub(crate) fn revision(self) -> Revision {
        Revision::new(self.main, i64::from(self.sub))
    }
}

/// Which keys of a range a read is about, and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The main revision to read at, not below the compacted one; `None` is the newest that the snapshot sees. No key
    /// exists at numbers below 2.
    pub at: Option<i64>,
    /// The order of the keys.
    pub order: KeyOrder,
    /// Keys whose revisions are not within are left out.
    pub bounds: RevisionBounds,
}

/// An order of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum KeyOrder {
    #[default]
    Ascending,
    Descending,
}

/// Bounds of a key's revisions, inclusive; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RevisionBounds {
    pub mod_min: i64,
    pub mod_max: i64,
    pub create_min: i64,
    pub create_max: i64,
}

impl RevisionBounds {
    /// Whether every key is within.
    pub fn is_unbounded(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn contains(&self, stamp: &Stamp) -> bool {
        let within = |number: i64, min: i64, max: i64| number >= min && (max == 0 || number <= max);
        let &Self { mod_min, mod_max, create_min, create_max } = self;
        within(stamp.main, mod_min, mod_max) && within(stamp.create, create_min, create_max)
    }
}

impl KeyState<'_> {
    pub(crate) fn new<'a>(key: &'a [u8], stamp: &Stamp) -> KeyState<'a> {
        let row = RowId::of(stamp);
        let Stamp { create, version, main, .. } = *stamp;
        KeyState { key, create_revision: create, mod_revision: main, version, row }
    }

    /// The `mvccpb.KeyValue` without value and lease.
    pub fn encode(&self) -> Bytes {
        self.fields().encode()
    }

    /// The length of [`Self::encode`].
    pub fn encoded_len(&self) -> usize {
        self.fields().encoded_len()
    }

    fn fields(&self) -> Fields<'_> {
        let &Self { key, create_revision, mod_revision, version, .. } = self;
        Fields { key, create_revision, mod_revision, version, ..Fields::default() }
    }
}
