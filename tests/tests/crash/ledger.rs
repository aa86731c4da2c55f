//! The promises made by responses to all clients.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_testkit::Random;
use ferretcd_tests::Clients;
use tonic::Code;

use super::rows::{Change, Rows, read};
use super::writer::Load;

/// Promises to be compared with the store after a restart.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Locked for single insertions and copies, never across an await.
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Seed and round, for messages.
    place: String,
    /// The change of each revision.
    changes: BTreeMap<i64, String>,
    /// The rows of a prefix at a revision.
    snapshots: Vec<Snapshot>,
    /// The value of each key at each revision of a change.
    values: BTreeMap<(i64, Bytes), Bytes>,
    hashes: Vec<Hash>,
    /// The newest revision in any response.
    newest: i64,
    /// The highest revision of any compaction request.
    compacted: i64,
    hashes_compared: usize,
    snapshots_compared: usize,
}

#[derive(Clone, Debug)]
struct Snapshot {
    prefix: String,
    revision: i64,
    rows: Rows,
}

/// A hash of the history up to a revision; comparable when the compacted revision is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hash {
    revision: i64,
    compacted: i64,
    hash: u32,
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kept().place)
    }
}

impl Ledger {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A failed assertion elsewhere does not invalidate the promises.
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn enter(&self, place: String) {
        self.kept().place = place;
    }

    /// Notes a response to a change: its revision, and the rows of the prefix after it.
    pub(crate) fn acknowledged(&self, revision: i64, how: &str, change: &Change, prefix: &str, rows: &Rows) {
        let other = self.kept().changes.insert(revision, format!("{prefix} {how} {change:?}"));
        assert!(other.is_none(), "{self}: revision {revision} is {change:?} and {other:?}");
        self.saw(prefix, revision, rows.clone());
    }

    /// Notes a read: the rows of the prefix at this revision.
    pub(crate) fn saw(&self, prefix: &str, revision: i64, rows: Rows) {
        for row in rows.values() {
            let at = (row.mod_revision, row.key.clone());
            let before = self.kept().values.insert(at, row.value.clone());
            assert!(before.is_none_or(|value| value == row.value), "{self}: another value for {row:?}");
        }
        let mut kept = self.kept();
        kept.newest = kept.newest.max(revision);
        kept.snapshots.push(Snapshot { prefix: prefix.to_owned(), revision, rows });
    }

    /// Takes hashes of recent revisions until the load is over.
    pub(crate) async fn watch_hashes(&self, mut clients: Clients, load: &Load, random: &mut Random) {
        while !load.is_over() {
            load.beat().await;
            let newest = self.kept().newest;
            let back = i64::try_from(random.below(50)).expect("below 50");
            match Self::hash(&mut clients, (newest - back).max(1)).await {
                Ok(Some(hash)) => self.kept().hashes.push(hash),
                Ok(None) => {}
                Err(status) => return assert!(load.is_over(), "{self}: hash: {status}"),
            }
        }
    }

    /// The hash at a revision; none when it is compacted.
    async fn hash(clients: &mut Clients, revision: i64) -> Result<Option<Hash>, tonic::Status> {
        match clients.maintenance.hash_kv(pb::HashKvRequest { revision }).await {
            Ok(response) => {
                let response = response.into_inner();
                // At the compact revision itself a server may respond with the hash from before the compaction.
                let comparable = revision > response.compact_revision;
                let hash = Hash { revision, compacted: response.compact_revision, hash: response.hash };
                Ok(comparable.then_some(hash))
            }
            Err(status) if status.code() == Code::OutOfRange => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Compacts some way behind the newest revision. Only its effects show whether it happened.
    pub(crate) async fn compact(&self, mut clients: Clients, back: u64, physical: bool) {
        let revision = {
            let mut kept = self.kept();
            let revision = kept.newest - i64::try_from(back).expect("a small number");
            kept.compacted = kept.compacted.max(revision);
            revision
        };
        let _ = clients.kv.compact(pb::CompactionRequest { revision, physical }).await;
    }

    /// Compares the store after a restart with the promises of the last rounds.
    pub(crate) async fn verify(&self, clients: &mut Clients, random: &mut Random) {
        const SNAPSHOTS: usize = 40;
        const HASHES: usize = 5;
        let (mut snapshots, mut hashes, newest, compacted) = {
            let mut kept = self.kept();
            let compacted = kept.compacted;
            // A whole history would take longer than a round; old revisions were compared when they were new.
            let from = kept.snapshots.len().saturating_sub(1000);
            kept.snapshots.drain(..from);
            let from = kept.hashes.len().saturating_sub(100);
            kept.hashes.drain(..from);
            kept.snapshots.retain(|snapshot| snapshot.revision >= compacted);
            (kept.snapshots.clone(), kept.hashes.clone(), kept.newest, compacted)
        };
        let (revision, _) = read(clients, "any", 0).await.expect("a ready server responses reads");
        assert!(revision >= newest, "{self}: revision {revision}, known was {newest}");
        for snapshot in sample(&mut snapshots, SNAPSHOTS, random) {
            let found = read(clients, &snapshot.prefix, snapshot.revision).await;
            let (_, found) = found.unwrap_or_else(|status| {
                panic!(
                    "{self}: {status}, at {} of {}, compacted {compacted}",
                    snapshot.prefix, snapshot.revision
                )
            });
            assert_eq!(found, snapshot.rows, "{self}: {} at {}", snapshot.prefix, snapshot.revision);
            self.kept().snapshots_compared += 1;
        }
        for hash in sample(&mut hashes, HASHES, random) {
            let found = Self::hash(clients, hash.revision).await.expect("a ready server hashes");
            if let Some(found) = found.filter(|found| found.compacted == hash.compacted) {
                assert_eq!(found, hash, "{self}");
                self.kept().hashes_compared += 1;
            }
        }
    }

    /// Asserts that the suite has compared something.
    pub(crate) fn assert_exercised(&self, rounds: usize) {
        let kept = self.kept();
        assert!(kept.changes.len() > 20 * rounds, "only {} changes", kept.changes.len());
        assert!(kept.snapshots_compared > 20 * rounds, "only {} snapshots", kept.snapshots_compared);
        assert!(kept.hashes_compared > rounds, "only {} hashes", kept.hashes_compared);
    }
}

/// Takes some, including the last ones, which are the likeliest to be lost.
fn sample<T>(from: &mut Vec<T>, count: usize, random: &mut Random) -> Vec<T> {
    let last = from.split_off(from.len().saturating_sub(count / 2));
    let mut taken = last;
    while taken.len() < count && !from.is_empty() {
        let index = usize::try_from(random.below(from.len() as u64)).expect("an index");
        taken.push(from.swap_remove(index));
    }
    taken
}
