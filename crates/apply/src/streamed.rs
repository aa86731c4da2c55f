//! A range in several messages.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{RangeResponse, ResponseHeader};
use ferretcd_mvcc::{Access, ReadError, Step};

use crate::encoded::Encoded;
use crate::partial::field;
use crate::range::{ListedRows, OpenRange};

/// Rows of the first message at most. Each one may have twice as many as the one before, as etcd's do.
const FIRST_ROWS: usize = 10;

/// A range that is sent as several messages, one for each piece of it.
#[derive(Debug)]
pub struct StreamedRange {
    /// The last message, without its rows.
    end: RangeResponse,
    rows: Option<ListedRows>,
    /// Rows of the next message at most.
    n_rows: usize,
}

impl StreamedRange {
    /// All messages of a range; the last one has the header and the numbers.
    pub fn new(range: OpenRange, header: ResponseHeader) -> Self {
        Self {
            end: RangeResponse { header: Some(header), ..range.response },
            rows: Some(range.rows),
            n_rows: FIRST_ROWS,
        }
    }

    /// Whether all messages have been taken.
    pub fn is_done(&self) -> bool {
        self.rows.is_none()
    }

    /// Takes the next message, a `RangeStreamResponse` with rows of about so many bytes; nothing as long as the next row is
    /// not in memory and may only be read from there, and at the end.
    pub fn take(&mut self, bytes: usize, access: Access) -> Result<Vec<Bytes>, ReadError> {
        let Some(listed) = &mut self.rows else { return Ok(Vec::new()) };
        let mut rows = Vec::new();
        let mut step = Step::More;
        while rows.is_empty() && step != Step::End {
            step = listed.read_some(bytes, self.n_rows, access, &mut rows)?;
            if access == Access::Memory && rows.is_empty() && step != Step::End {
                return Ok(Vec::new());
            }
        }
        self.n_rows = self.n_rows.saturating_mul(2);
        let mut range = Encoded::default();
        if step == Step::End {
            self.rows = None;
            range.push_message(&RangeResponse { header: self.end.header, ..RangeResponse::default() });
        }
        range.push_rows(field::KVS, ListedRows::held(rows));
        if self.rows.is_none() {
            range.push_message(&RangeResponse { header: None, ..std::mem::take(&mut self.end) });
        }
        let mut message = Encoded::default();
        message.push_field(field::RANGE_RESPONSE, range);
        message.take(usize::MAX, Access::Memory)
    }
}
