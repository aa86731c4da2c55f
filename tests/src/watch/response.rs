//! Responses with their rows decoded.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_testkit::watch_history::Event;

/// A response of a watch stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The header, if there is one.
    pub header: Option<pb::ResponseHeader>,
    /// [`NO_WATCH`](crate::NO_WATCH) for all watches of the stream, and for one that could not be created.
    pub watch_id: i64,
    /// Whether it is the first of a watch.
    pub created: bool,
    /// Whether it is the last of a watch.
    pub canceled: bool,
    /// The compact revision, if the watch ended because of a compaction.
    pub compact_revision: i64,
    /// Any other reason for the end.
    pub cancel_reason: String,
    /// Whether the next response continues the same revisions.
    pub fragment: bool,
    /// The events in order of arrival.
    pub events: Vec<Event>,
}

impl Response {
    /// The header's revision, 0 without a header.
    pub fn revision(&self) -> i64 {
        self.header.as_ref().map_or(0, |header| header.revision)
    }

    /// Whether it reports only the progress of its watch or of the whole stream.
    pub fn is_progress(&self) -> bool {
        !self.created && !self.canceled && self.events.is_empty()
    }
}

/// Panics when there is something that no client could read.
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
