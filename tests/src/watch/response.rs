//! Responses with their rows decoded.

use api_proto::etcdserverpb as pb;
use api_proto::mvccpb::event::EventType;
use api_proto::mvccpb::{self, KeyValue};

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

/// A change of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The key is gone; of its row there are the key and the revision.
    pub is_delete: bool,
    /// The row after the change.
    pub row: KeyValue,
    /// The row before the change.
    pub prev: Option<KeyValue>,
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

impl From<mvccpb::Event> for Event {
    fn from(event: mvccpb::Event) -> Self {
        let row =
            |row: api_proto::EncodedKeyValue| row.decode().expect("a server sends rows that can be decoded");
        Self {
            is_delete: match EventType::try_from(event.r#type) {
                Ok(EventType::Put) => false,
                Ok(EventType::Delete) => true,
                Err(error) => panic!("an event of another kind: {error}"),
            },
            row: row(event.kv.expect("an event has a row")),
            prev: event.prev_kv.map(row),
        }
    }
}
