//! Range requests: which rows of the store a response has, and in which order.
//!
//! A range is *opened* first. That counts its keys and chooses its rows, with the numbers of the index alone where that
//! is possible. Then the rows are read, at once or piece by piece.

use std::vec;

use bytes::Bytes;
use ferretcd_api_proto::EncodedKeyValue;
use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse};
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_mvcc::{Access, Corruption, ReadError, ReadView, RowCursor, RowId, Snapshot, Step};
use prost::Message;
use prost::encoding::encoded_len_varint;

use crate::range_plan::RangePlan;

/// Bytes of rows that are looked at together.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// Executes a Range request on one view. The form of the request has been checked; the caller fills the header
/// of the response. Every revision of zero or below means the view's.
pub fn range(view: &ReadView, request: &RangeRequest) -> Result<RangeResponse, ReadError> {
    let snapshot = view.snapshot();
    RangePlan::new(request).open(&snapshot)?.read_all(&snapshot)
}

/// A range whose rows are known and not read.
#[derive(Debug)]
pub struct OpenRange {
    /// The response without its rows, and without its header.
    pub response: RangeResponse,
    /// The rows.
    pub rows: ListedRows,
}

impl OpenRange {
    /// Reads the rows into the response, with the snapshot that it was opened with. Blocks while rows are read that are not
    /// in memory.
    pub fn read_all(self, snapshot: &Snapshot<'_>) -> Result<RangeResponse, ReadError> {
        Ok(RangeResponse { kvs: self.rows.read_all(snapshot)?, ..self.response })
    }
}

/// The rows of a list that are still to be read, in their order.
#[derive(Debug, Default)]
pub struct ListedRows {
    source: Source,
    n_rows: usize,
    bytes: u64,
    /// What it shows, for errors.
    revision: i64,
}

#[derive(Debug)]
enum Source {
    /// Of the same state that they were counted in, so there are as many.
    Store(RowCursor),
    Held(vec::IntoIter<Bytes>),
}

impl Default for Source {
    fn default() -> Self {
        Self::Held(Vec::new().into_iter())
    }
}

impl ListedRows {
    pub(crate) fn stored(cursor: RowCursor, n_rows: usize, bytes: u64, revision: i64) -> Self {
        Self { source: Source::Store(cursor), n_rows, bytes, revision }
    }

    pub(crate) fn of_ids(
        snapshot: &Snapshot<'_>,
        ids: Vec<RowId>,
        at: Option<i64>,
    ) -> Result<Self, ReadError> {
        let bytes = ids.iter().map(|id| listed_len(id.row_bytes())).sum();
        let n_rows = ids.len();
        Ok(Self::stored(snapshot.cursor_of(ids, at)?, n_rows, bytes, snapshot.revision()))
    }

    pub(crate) fn held(rows: Vec<Bytes>) -> Self {
        let bytes = rows.iter().map(|row| listed_len(row.len())).sum();
        Self { n_rows: rows.len(), bytes, source: Source::Held(rows.into_iter()), revision: 0 }
    }

    /// How many there are.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The bytes that they take in a message, each with its tag and length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds the next rows, as [`RowCursor::read`] does: so many that they have `bytes` or a little more.
    pub fn read(&mut self, bytes: usize, access: Access, rows: &mut Vec<Bytes>) -> Result<Step, ReadError> {
        self.read_some(bytes, usize::MAX, access, rows)
    }

    /// The same with at most so many rows, of which there has to be one.
    pub(crate) fn read_some(
        &mut self,
        bytes: usize,
        n_rows: usize,
        access: Access,
        rows: &mut Vec<Bytes>,
    ) -> Result<Step, ReadError> {
        self.read_by(bytes, n_rows, rows, |cursor, n_rows, rows| cursor.read(bytes, n_rows, access, rows))
    }

    fn read_by(
        &mut self,
        bytes: usize,
        n_rows_max: usize,
        rows: &mut Vec<Bytes>,
        read: impl FnOnce(&mut RowCursor, usize, &mut Vec<Bytes>) -> Result<Step, ReadError>,
    ) -> Result<Step, ReadError> {
        if self.n_rows == 0 {
            return Ok(Step::End);
        }
        let n_before = rows.len();
        let step = match &mut self.source {
            Source::Store(cursor) => read(cursor, self.n_rows.min(n_rows_max), rows)?,
            Source::Held(held) => {
                let mut bytes_left = bytes;
                while bytes_left > 0
                    && rows.len() - n_before < n_rows_max
                    && let Some(row) = held.next()
                {
                    bytes_left = bytes_left.saturating_sub(row.len());
                    rows.push(row);
                }
                Step::More
            }
        };
        let bytes_read = rows[n_before..].iter().map(|row| listed_len(row.len())).sum::<u64>();
        self.n_rows -= rows.len() - n_before;
        let bytes_left = self.bytes.checked_sub(bytes_read);
        match (self.n_rows, bytes_left, step) {
            (0, Some(0), _) => {
                self.bytes = 0;
                Ok(Step::End)
            }
            (1.., Some(bytes_left), Step::More | Step::NotInMemory) => {
                self.bytes = bytes_left;
                Ok(step)
            }
            // The index has said otherwise, and the length may have been sent already.
            _ => Err(Corruption::Range { revision: self.revision }.into()),
        }
    }

    fn read_all(mut self, snapshot: &Snapshot<'_>) -> Result<Vec<EncodedKeyValue>, ReadError> {
        let mut rows = Vec::with_capacity(self.n_rows);
        let read = |cursor: &mut RowCursor, n_rows, rows: &mut Vec<Bytes>| {
            snapshot.read(cursor, READ_BYTES, n_rows, Access::Backend, rows)
        };
        while self.read_by(READ_BYTES, usize::MAX, &mut rows, read)? != Step::End {}
        Ok(rows.into_iter().map(EncodedKeyValue::from_encoded).collect())
    }
}

/// The bytes that a row takes in a list: with a tag of one byte, and its length.
pub(crate) fn listed_len(row_bytes: usize) -> u64 {
    (1 + encoded_len_varint(row_bytes as u64) + row_bytes) as u64
}

pub(crate) fn decode(row: &Bytes, snapshot: &Snapshot<'_>) -> Result<KeyValue, ReadError> {
    let decoded = EncodedKeyValue::from_encoded(row.clone()).decode();
    decoded.map_err(|_| Corruption::Range { revision: snapshot.revision() }.into())
}

pub(crate) fn without_value(row: &Bytes, snapshot: &Snapshot<'_>) -> Result<Bytes, ReadError> {
    let stripped = KeyValue { value: Bytes::new(), ..decode(row, snapshot)? };
    Ok(stripped.encode_to_vec().into())
}

#[cfg(test)]
mod tests;
