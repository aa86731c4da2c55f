//! Responses with their rows decoded.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_sim::watch_history::Event;

/// A response of a watch stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Header, if it has one.
    pub header: Option<pb::ResponseHeader>,
    /// [`NO_WATCH`](crate::NO_WATCH) for all watches of the stream, and for one that could not be created.
    pub watch_id: i64,
    /// The first of a watch.
    pub created: bool,
    /// The last of a watch.
    pub canceled: bool,
    /// Why it ended, if that is a compaction.
    pub compact_revision: i64,
    /// Why it ended otherwise.
    pub cancel_reason: String,
    /// The next response goes on with the same revisions.
    pub fragment: bool,
    /// In the order they came.
    pub events: Vec<Event>,
}

impl Response {
    /// Revision of the header, 0 without one.
    pub fn revision(&self) -> i64 {
        self.header.as_ref().map_or(0, |header| header.revision)
    }

    /// Says how far its watch, or the whole stream, is, and nothing else.
    pub fn is_progress(&self) -> bool {
        !self.created && !self.canceled && self.events.is_empty()
    }
}

/// Panics, as the test of a server does, when there is something that no client could read.
impl From<pb::WatchResponse> for Response {
    fn from(response: pb::WatchResponse) -> Self {
        Self {
            header: response.header,
            watch_id: response.watch_id,
            created: response.created,
            canceled: response.canceled,
            compact_revision: response.compact_revision,
            cancel_reason: response.cancel_reason,
            fragment: response.fragment,
            events: response.events.into_iter().map(Event::from).collect(),
        }
    }
}
