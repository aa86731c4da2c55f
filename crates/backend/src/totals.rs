//! The sums over all live rows, kept by each commit.

use redb::{Database, WriteTransaction};

use crate::Error;
use crate::batch::Change;
use crate::page::PAGE_BYTES;
use crate::tables::{MARK, RowsMut, begin_read};

/// The sums over the live rows. Kept in a row of the mark's table by each commit, because counting would
/// mean reading the whole file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Key and value bytes of all buckets.
    bytes: u64,
    n_rows: u64,
}

/// What a leaf has before the offsets of its rows.
const LEAF_HEADER_BYTES: u64 = 4;

/// Row of the mark's table: bytes and number of rows, 8 bytes each, big endian.
const TOTALS_KEY: &[u8] = b"totals";

impl Totals {
    pub(crate) fn load(database: &Database) -> Result<Self, Error> {
        let transaction = begin_read(database)?;
        let mark = transaction.open_table(MARK).map_err(|error| Error::from_table("read", error))?;
        let row = mark.get(TOTALS_KEY).map_err(|error| Error::from_storage("read", error))?;
        row.and_then(|row| row.value().try_into().ok())
            .map(Self::from_bytes)
            .ok_or_else(|| Error::corrupt("the row with the totals is missing or too short"))
    }

    fn from_bytes(row: [u8; 16]) -> Self {
        let row = u128::from_be_bytes(row);
        Self { bytes: (row >> 64) as u64, n_rows: row as u64 }
    }

    pub(crate) fn store(self, transaction: &WriteTransaction) -> Result<(), Error> {
        let row = (u128::from(self.bytes) << 64) | u128::from(self.n_rows);
        let mut mark = transaction.open_table(MARK).map_err(|error| Error::from_table("write", error))?;
        let stored = mark.insert(TOTALS_KEY, &row.to_be_bytes()[..]);
        stored.map_err(|error| Error::from_storage("write", error))?;
        Ok(())
    }

    /// Bytes of the pages that these rows fill when they are added in order: a leaf keeps two offsets of
    /// 4 bytes for each row, and its unused end and the branches above it were measured at one part in
    /// twenty.
    pub(crate) fn in_use(self) -> u64 {
        let in_leaves = self.bytes.saturating_add(self.n_rows.saturating_mul(8));
        in_leaves.saturating_add(in_leaves / 20)
    }

    /// Bytes of the pages that these rows fill in a new file, if all are as long as their average: a leaf has whole rows,
    /// and one that is longer than a page has a leaf of its own, whose size is a power of two.
    pub(crate) fn packed(self) -> u64 {
        let Some(row) = self.bytes.checked_div(self.n_rows) else { return 0 };
        let row = row.saturating_add(8);
        let room = PAGE_BYTES - LEAF_HEADER_BYTES;
        let in_leaves = if row > room {
            let leaf = row.saturating_add(LEAF_HEADER_BYTES).checked_next_power_of_two();
            self.n_rows.saturating_mul(leaf.unwrap_or(u64::MAX))
        } else {
            self.n_rows.div_ceil(room / row).saturating_mul(PAGE_BYTES)
        };
        in_leaves.max(self.in_use())
    }

    pub(crate) fn apply(
        &mut self,
        rows: &mut RowsMut<'_>,
        change: &Change,
    ) -> Result<(), redb::StorageError> {
        let key: &[u8] = &change.key;
        let old = match &change.value {
            Some(value) => {
                self.add(key, value);
                rows.insert(key, &value[..])?
            }
            None => rows.remove(key)?,
        };
        if let Some(old) = old {
            self.subtract(key, old.value());
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.bytes = self.bytes.saturating_add((key.len() + value.len()) as u64);
        self.n_rows = self.n_rows.saturating_add(1);
    }

    fn subtract(&mut self, key: &[u8], value: &[u8]) {
        // The totals came from the disk: a wrong size is no reason to panic.
        self.bytes = self.bytes.saturating_sub((key.len() + value.len()) as u64);
        self.n_rows = self.n_rows.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fill_whole_pages() {
        let check = |n_rows, row_bytes, packed| {
            assert_eq!(
                Totals { bytes: n_rows * row_bytes, n_rows }.packed(),
                packed,
                "{n_rows} of {row_bytes}"
            );
        };
        check(0, 0, 0);
        // Three in a page, two, one.
        check(300, 1200, 100 * 4096);
        check(300, 1900, 150 * 4096);
        check(300, 2100, 300 * 4096);
        check(300, 3000, 300 * 4096);
        // And more than a page for one.
        check(300, 4085, 300 * 8192);
        check(300, 9000, 300 * 16384);
        // Small rows leave little of a page unused.
        assert_eq!(Totals { bytes: 1_000_000, n_rows: 10_000 }.packed(), 1_134_000);
        assert_eq!(Totals { bytes: u64::MAX, n_rows: 1 }.packed(), u64::MAX);
    }
}
