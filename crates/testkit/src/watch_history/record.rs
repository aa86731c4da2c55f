//! The truth about a store with one writer.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use ferretcd_api_proto::mvccpb::KeyValue;

use super::history::{Event, WatchRequest, is_within};

/// A change by the writer.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Puts a value.
    Put(Bytes, Bytes),
    /// Deletes a range, written as in requests.
    Delete(Bytes, Bytes),
}

/// Every change of a store since a revision at which it was empty.
#[derive(Clone, Debug)]
pub struct Record {
    revision: i64,
    compacted: i64,
    rows: BTreeMap<Bytes, KeyValue>,
    /// Events of each revision, always with the row before.
    changes: BTreeMap<i64, Vec<Event>>,
}

impl Record {
    /// An empty store.
    pub fn new(revision: i64) -> Self {
        Self { revision, compacted: 0, rows: BTreeMap::new(), changes: BTreeMap::new() }
    }

    /// The revision of the last change.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The newest revision of a requested compaction.
    pub fn compacted(&self) -> i64 {
        self.compacted
    }

    /// Operations carried out together. They take up a revision if they have an effect.
    pub fn apply(&mut self, operations: &[Operation]) {
        let revision = self.revision + 1;
        let events: Vec<_> =
            operations.iter().flat_map(|operation| self.perform(revision, operation)).collect();
        self.note(events);
    }

    /// Changes that were made together, at the next revision, with the rows before. An empty list takes up no
    /// revision.
    pub fn note(&mut self, events: Vec<Event>) {
        self.note_at(self.revision + 1, events);
    }

    /// The same at a later revision, when other clients have taken up those between.
    pub fn note_at(&mut self, revision: i64, events: Vec<Event>) {
        assert!(revision > self.revision, "revisions are noted in order");
        if !events.is_empty() {
            self.revision = revision;
            self.changes.insert(revision, events);
        }
    }

    /// A compaction was requested.
    pub fn compact(&mut self, revision: i64) {
        self.compacted = self.compacted.max(revision);
    }

    fn perform(&mut self, revision: i64, operation: &Operation) -> Vec<Event> {
        match operation {
            Operation::Put(key, value) => {
                let prev = self.rows.get(key).cloned();
                let row = KeyValue {
                    key: key.clone(),
                    value: value.clone(),
                    create_revision: prev.as_ref().map_or(revision, |prev| prev.create_revision),
                    mod_revision: revision,
                    version: prev.as_ref().map_or(1, |prev| prev.version + 1),
                    ..KeyValue::default()
                };
                self.rows.insert(key.clone(), row.clone());
                vec![Event { is_delete: false, row, prev }]
            }
            Operation::Delete(key, range_end) => {
                let keys: Vec<_> =
                    self.rows.keys().filter(|row| is_within(row, key, range_end)).cloned().collect();
                let deleted = keys.into_iter().map(|key| {
                    let prev = self.rows.remove(&key);
                    let row = KeyValue { key, mod_revision: revision, ..KeyValue::default() };
                    Event { is_delete: true, row, prev }
                });
                deleted.collect()
            }
        }
    }

    /// The changes above `after` and up to `until` that a watch has to deliver, in order.
    pub(super) fn wanted(
        &self,
        request: &WatchRequest,
        after: i64,
        until: i64,
    ) -> impl Iterator<Item = &Event> {
        let range = (Bound::Excluded(after), Bound::Included(until.max(after)));
        let changes = if until > after { Some(self.changes.range::<i64, _>(range)) } else { None };
        changes.into_iter().flatten().flat_map(|(_, events)| events).filter(|event| request.wants(event))
    }

    /// The revision of the last change that a watch has to deliver, above `after`.
    pub fn last_wanted(&self, request: &WatchRequest, after: i64) -> Option<i64> {
        self.wanted(request, after, self.revision).last().map(|event| event.row.mod_revision)
    }

    /// Whether there was such a change.
    pub(super) fn knows(&self, event: &Event) -> bool {
        let at = self.changes.get(&event.row.mod_revision);
        at.is_some_and(|events| events.iter().any(|known| is_same(known, event)))
    }
}

/// Everything but the row before is equal.
pub(super) fn is_same(a: &Event, b: &Event) -> bool {
    (a.is_delete, &a.row) == (b.is_delete, &b.row)
}
