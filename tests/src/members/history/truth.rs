//! What a cluster keeps.

use std::collections::BTreeMap;

use ferretcd_api_proto::etcdserverpb as pb;

use crate::{Clients, Event, WatchStream};

/// A row as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its value.
    pub value: String,
    /// The revision of its last put.
    pub changed: i64,
}

/// One change. Requests of these clients change one row each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// The new value; none when the row was deleted.
    pub value: Option<String>,
}

impl Change {
    /// What an event tells, with its revision.
    pub(super) fn of(event: &Event) -> (i64, Self) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = (!event.is_delete).then(|| text(&event.row.value));
        (event.row.mod_revision, Self { key: text(&event.row.key), value })
    }
}

/// All changes of a store from its beginning, by revision.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    changes: BTreeMap<i64, Change>,
    /// Revisions that changed a key, in order.
    of_keys: BTreeMap<String, Vec<i64>>,
}

impl Truth {
    /// Reads it by a watch through one member, up to what a linearizable read shows.
    ///
    /// # Panics
    ///
    /// When the member does not tell it, or one revision has several changes.
    pub async fn read(clients: &Clients, prefix: &str) -> Self {
        let range = pb::RangeRequest { key: prefix.to_owned().into(), ..Default::default() };
        let answer = clients.kv.clone().range(range).await.expect("a healthy member answers reads");
        let revision = answer.into_inner().header.expect("every answer has a header").revision;
        let create = pb::WatchCreateRequest {
            key: prefix.to_owned().into(),
            range_end: format!("{prefix}\u{7f}").into(),
            start_revision: 1,
            ..Default::default()
        };
        let mut stream = WatchStream::open(clients);
        stream.created(create).await;
        let mut truth = Self::default();
        loop {
            // Progress is told behind everything up to its revision.
            stream.request_progress().await;
            let response = stream.response().await;
            assert!(!response.canceled, "the watch was cancelled: {response:?}");
            for event in &response.events {
                let (revision, change) = Change::of(event);
                truth.add(revision, change);
            }
            if response.events.is_empty() && response.revision() >= revision {
                return truth;
            }
        }
    }

    /// Adds a change behind all others.
    ///
    /// # Panics
    ///
    /// When there is one with the same or a higher revision.
    pub fn add(&mut self, revision: i64, change: Change) {
        let last = self.changes.last_key_value().map_or(0, |(last, _)| *last);
        assert!(revision > last, "revision {revision} is told after {last}");
        self.of_keys.entry(change.key.clone()).or_default().push(revision);
        self.changes.insert(revision, change);
    }

    /// The change with this revision.
    pub fn change(&self, revision: i64) -> Option<&Change> {
        self.changes.get(&revision)
    }

    /// All changes in order.
    pub fn changes(&self) -> impl Iterator<Item = (i64, &Change)> {
        self.changes.iter().map(|(revision, change)| (*revision, change))
    }

    /// The row of a key behind the change with this revision.
    pub fn row(&self, key: &str, revision: i64) -> Option<Row> {
        let of_key = self.of_keys.get(key)?;
        let newer = of_key.partition_point(|changed| *changed <= revision);
        let changed = *of_key[..newer].last()?;
        let value = self.changes[&changed].value.clone()?;
        Some(Row { value, changed })
    }
}
