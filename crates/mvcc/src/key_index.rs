//! The history of one key, as numbers only.
//!
//! ```text
//!            older (absent for a key written once)            newest
//!   put 4/0   put 7/0   tombstone 9/1   put 12/0   put 13/0   put 20/0
//!   └──── first generation ─────────┘   └──── second generation ──────┘
//! ```
//!
//! Every stamp carries its own create revision and version, so that generations need no structure of
//! their own: a generation ends at a tombstone and the next put starts over at version 1.

use ferretcd_base::Revision;

use crate::row;

/// Not 0: that is in the row without a key by which etcdutl raises the revision of a snapshot.
const NO_VERSION: i64 = -1;

/// The numbers of one change of one key: all that is known of it without reading its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) main: i64,
    /// Main revision of the put that began the generation; 0 in a tombstone.
    pub(crate) create: i64,
    /// Puts since then, this one included; [`NO_VERSION`] in a tombstone.
    pub(crate) version: i64,
    /// Narrower than on disk, to keep a stamp at 32 bytes. A transaction never has that many changes.
    pub(crate) sub: u32,
    /// Length of the stored row; 0 in a tombstone.
    pub(crate) row_bytes: u32,
}

impl Stamp {
    pub(crate) fn put(revision: Revision, create: i64, version: i64, row_bytes: u32) -> Self {
        assert!(version > NO_VERSION, "versions are not negative");
        Self { main: revision.main, create, version, sub: row::narrow_sub(revision), row_bytes }
    }

    pub(crate) fn tombstone(revision: Revision) -> Self {
        let sub = row::narrow_sub(revision);
        Self { main: revision.main, create: 0, version: NO_VERSION, sub, row_bytes: 0 }
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        self.version == NO_VERSION
    }

    pub(crate) fn revision(&self) -> Revision {
        Revision::new(self.main, i64::from(self.sub))
    }

    /// What the row of a put takes in a response, as an element of a repeated field: a tag of one byte, the
    /// length, and the row.
    pub(crate) fn listed_bytes(&self) -> u64 {
        let row_bytes = u64::from(self.row_bytes);
        1 + row::varint_len(row_bytes) as u64 + row_bytes
    }
}

/// Behind all changes of the transaction `main`, and before the next one: the bound of a read at `main`.
pub(crate) fn end_of(main: i64) -> Revision {
    Revision::new(main, i64::MAX)
}

/// All stamps of one key, ascending by revision; never empty.
#[derive(Debug)]
pub(crate) struct KeyIndex {
    newest: Stamp,
    #[expect(clippy::box_collection, reason = "8 bytes instead of 24 in every key that was written once")]
    older: Option<Box<Vec<Stamp>>>,
}

impl KeyIndex {
    pub(crate) fn new(stamp: Stamp) -> Self {
        Self { newest: stamp, older: None }
    }

    pub(crate) fn newest(&self) -> &Stamp {
        &self.newest
    }

    /// Adds a stamp, which must be newer than all others.
    pub(crate) fn push(&mut self, stamp: Stamp) {
        assert!(stamp.revision() > self.newest.revision(), "revisions of a key only grow");
        let older = std::mem::replace(&mut self.newest, stamp);
        self.older.get_or_insert_default().push(older);
    }

    /// Adds a put at `revision`, continuing the current generation or beginning one. `row_bytes` gives the length
    /// of its row from its create revision and version.
    pub(crate) fn put(&mut self, revision: Revision, row_bytes: impl FnOnce(i64, i64) -> u32) {
        let (create, version) = match &self.newest {
            newest if newest.is_tombstone() => (revision.main, 1),
            newest => (newest.create, newest.version + 1),
        };
        self.push(Stamp::put(revision, create, version, row_bytes(create, version)));
    }

    /// The newest change at or below `at`, be it a put or a tombstone.
    pub(crate) fn at(&self, at: Revision) -> Option<&Stamp> {
        if self.newest.revision() <= at {
            return Some(&self.newest);
        }
        let older = self.older.as_ref()?;
        older[..older.partition_point(|stamp| stamp.revision() <= at)].last()
    }

    /// The put that gives the key its value at `at`; `None` if the key didn't exist then.
    pub(crate) fn live_at(&self, at: Revision) -> Option<&Stamp> {
        self.at(at).filter(|stamp| !stamp.is_tombstone())
    }

    /// Forgets what a compaction at `main` removes: all stamps up to `main` but the newest of them, and
    /// that one too if it is a tombstone of a smaller revision. Returns whether nothing is left; the key
    /// must then leave the index, and the stamps still in here mean nothing.
    #[must_use]
    pub(crate) fn compact(&mut self, main: i64) -> bool {
        let obsolete = |stamp: &Stamp| stamp.is_tombstone() && stamp.main < main;
        if self.newest.main <= main {
            self.older = None;
            return obsolete(&self.newest);
        }
        let Some(older) = &mut self.older else { return false };
        let seen = older.partition_point(|stamp| stamp.main <= main);
        let dropped = if older[..seen].last().is_some_and(obsolete) { seen } else { seen.saturating_sub(1) };
        if dropped == older.len() {
            self.older = None;
        } else if dropped > 0 {
            older.drain(..dropped);
            // A once busy key gives its memory back; twice its length is left so that it can go on.
            older.shrink_to(older.len() * 2);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds a history from words like `p4 p7 t9.1`.
    fn history(text: &str) -> KeyIndex {
        let mut key: Option<KeyIndex> = None;
        for word in text.split(' ') {
            let (kind, number) = word.split_at(1);
            let (main, sub) = number.split_once('.').unwrap_or((number, "0"));
            let revision = Revision::new(main.parse().unwrap(), sub.parse().unwrap());
            match (&mut key, kind) {
                (None, "p") => key = Some(KeyIndex::new(Stamp::put(revision, revision.main, 1, 7))),
                (None, _) => key = Some(KeyIndex::new(Stamp::tombstone(revision))),
                (Some(key), "p") => key.put(revision, |_, _| 7),
                (Some(key), _) => key.push(Stamp::tombstone(revision)),
            }
        }
        key.unwrap()
    }

    fn show(key: &KeyIndex) -> String {
        let stamps = key.older.iter().flat_map(|older| older.iter()).chain([&key.newest]);
        let words: Vec<_> = stamps
            .map(|stamp| match stamp {
                Stamp { main, version: NO_VERSION, .. } => format!("t{main}"),
                Stamp { main, create, version, .. } => format!("p{main}={create}v{version}"),
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn one_key_stays_small() {
        assert_eq!(size_of::<KeyIndex>(), 40);
    }

    #[test]
    fn versions_restart_with_each_generation() {
        assert_eq!(show(&history("p2 p3 t4 p6 p7")), "p2=2v1 p3=2v2 t4 p6=6v1 p7=6v2");
    }

    #[test]
    fn reading_at_a_revision() {
        let key = history("p4 p7 t9 p12.0 t12.1 p12.2 p20");
        let at = |bound| key.live_at(bound).map(Stamp::revision);
        let cases =
            [(3, None), (4, Some(4)), (6, Some(4)), (8, Some(7)), (9, None), (11, None), (12, Some(12))];
        for (main, expected) in cases {
            assert_eq!(at(end_of(main)).map(|revision| revision.main), expected, "at {main}");
        }
        assert_eq!(at(end_of(12)), Some(Revision::new(12, 2)));
        assert_eq!(at(end_of(i64::MAX)).map(|revision| revision.main), Some(20));
        assert_eq!(at(Revision::new(12, 0)), Some(Revision::new(12, 0)));
        assert_eq!(at(Revision::new(12, 1)), None);
        assert_eq!(at(Revision::new(20, 0)), Some(Revision::new(20, 0)));
    }

    #[test]
    fn bytes_in_a_list() {
        for (row_bytes, expected) in [(4, 6), (127, 129), (128, 131), (u32::MAX, (1 << 32) + 5)] {
            let stamp = Stamp::put(Revision::new(4, 0), 4, 1, row_bytes);
            assert_eq!(stamp.listed_bytes(), expected, "{row_bytes}");
        }
    }

    #[test]
    fn compaction_keeps_what_is_still_readable() {
        fn check(before: &str, main: i64, after: &str) {
            let mut key = history(before);
            let gone = key.compact(main);
            assert_eq!(if gone { String::new() } else { show(&key) }, after, "{before} at {main}");
        }
        check("p4 p7 t9", 3, "p4=4v1 p7=4v2 t9");
        check("p4 p7 t9", 4, "p4=4v1 p7=4v2 t9");
        check("p4 p7 t9", 7, "p7=4v2 t9");
        check("p4 p7 t9", 8, "p7=4v2 t9");
        check("p4 p7 t9", 9, "t9");
        check("p4 p7 t9", 10, "");
        check("p4 t9 p12", 9, "t9 p12=12v1");
        check("p4 t9 p12", 10, "p12=12v1");
        check("p4 t9 p12", 12, "p12=12v1");
        check("t9", 9, "t9");
        check("t9", 10, "");
    }
}
