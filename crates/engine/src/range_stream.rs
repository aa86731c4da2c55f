//! A range that is read while its response is sent.

use std::sync::Arc;
use std::time::Instant;

use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse};
use ferretcd_apply::{Piece, RangeCursor};
use ferretcd_mvcc::{ReadError, ReadView};

use crate::metrics::Metrics;
use crate::replies::blocking;
use crate::{MemberInfo, RequestError};

/// A range at one revision, read in pieces by [`Self::next`]. Holds no lock between two of them, and no thread.
#[derive(Debug)]
pub struct RangeStream {
    /// `None` behind the last piece, and behind an error.
    pub(crate) source: Option<Source>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) member: MemberInfo,
}

/// Where the next piece comes from.
#[derive(Debug)]
pub(crate) enum Source {
    New { view: ReadView, request: RangeRequest, piece_bytes: usize },
    Open(RangeCursor),
}

impl RangeStream {
    /// Reads the next piece, on a thread that may block; `None` behind the last one or behind an error. The last one
    /// has the header, and says how many keys there are.
    pub async fn next(&mut self) -> Option<Result<RangeResponse, RequestError>> {
        let source = self.source.take()?;
        let metrics = Arc::clone(&self.metrics);
        let read = blocking(move || {
            let started = Instant::now();
            let piece = read(source);
            metrics.range_read(piece.is_ok(), started.elapsed());
            Ok(piece?)
        });
        Some(read.await.map(|(cursor, piece)| self.response(cursor, piece)))
    }

    fn response(&mut self, cursor: RangeCursor, piece: Piece) -> RangeResponse {
        let response = RangeResponse { kvs: piece.kvs, ..RangeResponse::default() };
        let Some(end) = piece.end else {
            self.source = Some(Source::Open(cursor));
            return response;
        };
        let header = Some(self.member.header(end.revision));
        RangeResponse { header, more: end.more, count: end.count, ..response }
    }
}

fn read(source: Source) -> Result<(RangeCursor, Piece), ReadError> {
    let mut cursor = match source {
        Source::New { view, request, piece_bytes } => RangeCursor::open(view, &request, piece_bytes)?,
        Source::Open(cursor) => cursor,
    };
    let piece = cursor.next_piece()?;
    Ok((cursor, piece))
}
