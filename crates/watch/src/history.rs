//! Reads of history that has left the memory. The owner performs them, on a thread of its choice.

use bytes::Bytes;
use ferretcd_base::KeyRange;
use ferretcd_mvcc::{Change, History, HistoryLimit, ReadError, Reader};

/// The limit of one read. Small, because a queue of a stream may get as much on top of its bound.
const STRETCH_CHANGES: usize = 1000;
const STRETCH_BYTES: usize = 64 << 10;

/// The limit of a stretch for unsynced watches.
pub(crate) fn stretch(until: i64) -> HistoryLimit {
    HistoryLimit { until, changes: STRETCH_CHANGES, bytes: STRETCH_BYTES }
}

/// A request for history; see [`Hub::wanted`](crate::Hub::wanted).
#[derive(Clone, Debug)]
pub struct HistoryRequest {
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// Keys whose previous values are wanted too.
    pub(crate) previous_of: Vec<KeyRange>,
}

impl HistoryRequest {
    /// Reads the history. Blocks while the state file does: some milliseconds, more if the disk is slow. Can be
    /// called on any thread; the response is for [`Hub::supply`](crate::Hub::supply).
    pub fn read(&self, reader: &Reader) -> HistoryResponse {
        HistoryResponse { from: self.from, stretch: self.read_stretch(reader) }
    }

    fn read_stretch(&self, reader: &Reader) -> Result<Stretch, ReadError> {
        let history = reader.history(self.from, &stretch(self.until))?;
        let previous = history.changes.iter().map(|change| self.read_previous(reader, change));
        Ok(Stretch { previous: previous.collect::<Result<_, _>>()?, history })
    }

    fn read_previous(&self, reader: &Reader, change: &Change) -> Result<Previous, ReadError> {
        if !self.previous_of.iter().any(|range| range.contains(&change.key)) {
            return Ok(Previous::NotRead);
        }
        reader.previous_row(change).map(Previous::Row)
    }
}

/// The result of a [`HistoryRequest`].
#[derive(Debug)]
pub struct HistoryResponse {
    pub(crate) from: i64,
    pub(crate) stretch: Result<Stretch, ReadError>,
}

#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) history: History,
    /// One for each change.
    pub(crate) previous: Vec<Previous>,
}

#[derive(Clone, Debug)]
pub(crate) enum Previous {
    NotRead,
    Row(Option<Bytes>),
}
