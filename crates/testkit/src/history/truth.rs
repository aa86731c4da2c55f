//! What a cluster keeps.

use std::collections::BTreeMap;

use crate::watch_history::{Event, Record};

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

/// All changes of a store from its beginning, by revision.
#[derive(Clone, Debug)]
pub struct Truth {
    changes: BTreeMap<i64, Change>,
    /// Revisions that changed a key, in order.
    of_keys: BTreeMap<String, Vec<i64>>,
    /// The same changes as events.
    record: Record,
}

impl Default for Truth {
    fn default() -> Self {
        Self { changes: BTreeMap::new(), of_keys: BTreeMap::new(), record: Record::new(0) }
    }
}

impl Truth {
    /// Adds a change behind all others.
    ///
    /// # Panics
    ///
    /// When there is one with the same or a higher revision.
    pub fn add(&mut self, event: Event) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (revision, key) = (event.row.mod_revision, text(&event.row.key));
        let value = (!event.is_delete).then(|| text(&event.row.value));
        let last = self.record.revision();
        assert!(revision > last, "revision {revision} comes after {last}");
        self.of_keys.entry(key.clone()).or_default().push(revision);
        self.changes.insert(revision, Change { key, value });
        self.record.note_at(revision, vec![event]);
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

    /// What watches have to tell.
    pub(super) fn record(&self) -> &Record {
        &self.record
    }
}
