//! The request of one watch, and everything that it received.

use bytes::Bytes;
use ferretcd_api_proto::EncodedKeyValue;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::watch_create_request::FilterType;
use ferretcd_api_proto::mvccpb::event::EventType;
use ferretcd_api_proto::mvccpb::{self, KeyValue};

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

/// Panics, as the test of a server does, when there is something that no client could read.
impl From<mvccpb::Event> for Event {
    fn from(event: mvccpb::Event) -> Self {
        let row = |row: EncodedKeyValue| row.decode().expect("a server sends rows that can be decoded");
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

/// The events that a watch selects.
#[derive(Clone, Debug, Default)]
pub struct WatchRequest {
    /// First key.
    pub key: Bytes,
    /// As in requests.
    pub range_end: Bytes,
    /// As in requests: 0 for what comes next.
    pub start: i64,
    /// Without puts.
    pub no_put: bool,
    /// Without deletes.
    pub no_delete: bool,
    /// With rows as they were.
    pub prev_kv: bool,
}

impl WatchRequest {
    /// A request for it, from this revision on.
    pub fn create_request(&self, watch_id: i64, start_revision: i64) -> pb::WatchCreateRequest {
        let filters = [(self.no_put, FilterType::Noput), (self.no_delete, FilterType::Nodelete)];
        pb::WatchCreateRequest {
            key: self.key.clone(),
            range_end: self.range_end.clone(),
            start_revision,
            filters: filters.iter().filter(|(is, _)| *is).map(|(_, filter)| (*filter).into()).collect(),
            prev_kv: self.prev_kv,
            watch_id,
            ..Default::default()
        }
    }

    pub(super) fn wants(&self, event: &Event) -> bool {
        let filtered = if event.is_delete { self.no_delete } else { self.no_put };
        !filtered && is_within(&event.row.key, &self.key, &self.range_end)
    }
}

/// One thing that a watch received, or that happened to it.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The watch was created, by a store at this revision.
    Created(i64),
    /// Events.
    Events {
        /// Revision of the header.
        header: i64,
        /// Those of one response.
        events: Vec<Event>,
        /// The next response goes on with them.
        fragment: bool,
    },
    /// There is nothing more up to this revision.
    Progress(i64),
    /// The watch was ended, because everything below this revision was compacted. It was created again from there.
    Compacted(i64),
    /// The call was lost. The watch was created again, behind the last revision that was known.
    Lost,
}

/// Everything that one watch received.
#[derive(Clone, Debug)]
pub struct History {
    /// Its first request.
    pub request: WatchRequest,
    /// A revision that the store had at the request: a watch from now on receives nothing up to here.
    pub floor: i64,
    /// The server promises that headers of events are bookmarks, too. etcd's are not while a watch catches up.
    pub headers_are_bookmarks: bool,
    /// In the order it came.
    pub seen: Vec<Seen>,
}

/// Whether a range, written as in requests, has this key.
pub fn is_within(row: &[u8], key: &[u8], range_end: &[u8]) -> bool {
    match range_end {
        [] => row == key,
        [0] => row >= key,
        end => row >= key && row < end,
    }
}
