//! History goes, what is needed stays.

use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::RangeRequest;
use ferretcd_apply::ApplyError;
use ferretcd_backend::Bucket;
use ferretcd_engine::{Config, RequestError};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::*;

/// Writes `keys` keys `rounds` times; returns the newest revision.
fn fill(member: &Member, keys: usize, rounds: usize) -> i64 {
    member.run(async |engine| {
        let mut puts = JoinSet::new();
        for index in 0..keys {
            let engine = engine.clone();
            puts.spawn(async move {
                for round in 0..rounds {
                    engine
                        .kv()
                        .put(&CALLER, put(format!("k{index:04}"), format!("{round}")))
                        .await
                        .expect("a put");
                }
            });
        }
        puts.join_all().await;
        engine.kv().reader().revision()
    })
}

/// Rows of the history in the state file, which is not being written to.
fn rows_in_file(member: &Member) -> u64 {
    let copied = tempfile::tempdir().expect("a directory");
    copy(&member.engine.config().data_dir, copied.path());
    state_file(copied.path()).view().count(Bucket::Key).expect("a readable file")
}

/// Rows that compactions of this run have removed.
fn removed(member: &Member) -> u64 {
    let families = member.registry.gather();
    let family =
        families.iter().find(|family| family.name() == "etcd_debugging_mvcc_db_compaction_keys_total");
    family.expect("the member counts them").get_metric()[0].get_counter().get_value() as u64
}

#[test]
fn physical_compaction_returns_when_the_rows_are_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    // Nothing but the request itself makes the member write its file.
    let member = Member::start(Config { compaction_batch: 50, ..lazy(dir.path()) });
    let revision = fill(&member, 100, 4);
    member
        .run(async |engine| engine.kv().compact(&CALLER, compaction(revision, true)).await)
        .expect("a compaction");
    assert_eq!(rows_in_file(&member), 100);
    assert_eq!(removed(&member), 300);
    member.stop();
}

#[test]
fn consecutive_compactions_all_finish() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    let revision = fill(&member, 10, 10);
    let done = member.run(async |engine| {
        timeout(PATIENCE, async {
            for (back, physical) in [(80, false), (60, true), (40, false), (20, false), (10, true)] {
                engine
                    .kv()
                    .compact(&CALLER, compaction(revision - back, physical))
                    .await
                    .expect("a compaction");
            }
            // Each request waits for its own compaction, in whatever order they end.
            let (one, other) = tokio::join!(
                engine.kv().compact(&CALLER, compaction(revision - 5, true)),
                engine.kv().compact(&CALLER, compaction(revision, true))
            );
            one.or(other).expect("the later revision may win, one of them is done");
        })
        .await
    });
    done.expect("compactions end");
    assert_eq!(rows_in_file(&member), 10);
    assert_eq!(removed(&member), 90);
    member.stop();
}

#[test]
fn interrupted_compaction_goes_on_after_a_restart() {
    const KEYS: usize = 300;
    let dir = tempfile::tempdir().expect("a directory");
    // One step, then nothing for an hour.
    let sleepy = Config { compaction_batch: 50, compaction_sleep: PATIENCE * 100, ..config(dir.path()) };
    let member = Member::start(sleepy);
    let revision = fill(&member, KEYS, 2);
    member.run(async |engine| {
        engine.kv().compact(&CALLER, compaction(revision, false)).await.expect("a compaction");
        while removed(&member) == 0 {
            engine.maintenance().flush().await.expect("a commit");
        }
    });
    let before = removed(&member);
    assert!(before <= 50, "{before} rows went in one step of 50");
    member.stop();

    let member = Member::start(Config { compaction_batch: 50, ..config(dir.path()) });
    member.run(async |engine| {
        let rest = KEYS as u64 - before;
        let finished = timeout(PATIENCE, async {
            while removed(&member) < rest {
                engine.maintenance().flush().await.expect("a commit");
            }
        });
        finished.await.expect("the rest needs no request");
        let old = engine.kv().range(&CALLER, everything(revision - 1)).await;
        assert!(matches!(old, Err(RequestError::Apply(ApplyError::Compacted { .. }))), "{old:?}");
        let rows = engine
            .kv()
            .range(&CALLER, everything(revision))
            .await
            .expect("the compacted revision itself")
            .count;
        assert_eq!(rows, KEYS as i64);
        engine.maintenance().flush().await.expect("a commit");
    });
    member.stop();
    assert_eq!(state_file(dir.path()).view().count(Bucket::Key).expect("a readable file"), KEYS as u64);
}

#[test]
fn compacted_and_future_revisions_are_rejected() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    let revision = fill(&member, 1, 5);
    member.run(async |engine| {
        engine.kv().compact(&CALLER, compaction(revision - 2, false)).await.expect("a compaction");
        let again = engine.kv().compact(&CALLER, compaction(revision - 2, true)).await;
        assert!(matches!(again, Err(RequestError::Apply(ApplyError::Compacted { .. }))), "{again:?}");
        let ahead = engine.kv().compact(&CALLER, compaction(revision + 1, true)).await;
        assert!(matches!(ahead, Err(RequestError::Apply(ApplyError::Future { .. }))), "{ahead:?}");
    });
    member.stop();
}

#[test]
fn reads_of_the_newest_state_are_never_compacted() {
    // Small stores are read on the caller's thread, larger ones on threads that may block.
    for (keys, writes) in [(20, 300), (600, 100)] {
        read_while_compacting(keys, writes);
    }
}

fn read_while_compacting(keys: usize, writes: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let member =
        Member::start(Config { compaction_batch: 7, compaction_sleep: Duration::ZERO, ..config(dir.path()) });
    let last = fill(&member, keys, 1) + writes as i64;
    member.run(async |engine| {
        let mut readers = JoinSet::new();
        for index in 0..4 {
            let engine = engine.clone();
            readers.spawn(async move {
                let (mut seen, mut n_reads) = (0, 0);
                while seen < last {
                    let range = RangeRequest { serializable: index < 2, ..everything(0) };
                    let range = engine
                        .kv()
                        .range(&CALLER, range)
                        .await
                        .unwrap_or_else(|error| panic!("failed to {error}"));
                    let revision = range.header.expect("a response has a header").revision;
                    assert!(revision >= seen, "revision {revision} after {seen}");
                    assert_eq!(range.kvs.len(), keys, "at {revision}");
                    let revisions = range.kvs.iter().map(|row| row.decode().expect("a row").mod_revision);
                    assert_eq!(revisions.max(), Some(revision), "a state is read as a whole");
                    (seen, n_reads) = (revision, n_reads + 1);
                    // A read that waited for nothing would keep the only worker for itself.
                    tokio::task::yield_now().await;
                }
                n_reads
            });
        }
        let load = async {
            for index in 0..writes {
                let key = format!("k{:04}", index % keys);
                let response = engine.kv().put(&CALLER, put(key, "again")).await.expect("a put");
                let revision = response.header.expect("a response has a header").revision;
                engine
                    .kv()
                    .compact(&CALLER, compaction(revision, index % 10 == 0))
                    .await
                    .expect("a compaction");
            }
        };
        timeout(PATIENCE, load).await.expect("compactions end");
        let n_reads: usize = readers.join_all().await.into_iter().sum();
        assert!(n_reads > 10, "only {n_reads} reads");
    });
    member.stop();
}

/// Overwriting and compacting, again and again: what is in use comes back to what the rows need, and the file grows to
/// what its history has needed at most and not much more, even if no rewrite gives anything back.
#[test]
fn file_of_overwritten_keys_grows_with_its_history_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let paces = config(dir.path());
    let member = Member::start(Config { backend_interval: Duration::from_millis(500), ..paces });
    let write = async |numbers: Vec<usize>| {
        for some in numbers.chunks(500) {
            let mut puts = JoinSet::new();
            for number in some {
                let engine = member.engine.clone();
                let put = put(format!("k{number:05}"), "x".repeat(1000));
                puts.spawn(async move { engine.kv().put(&CALLER, put).await.expect("a put") });
            }
            puts.join_all().await;
        }
    };
    let peak = member.run(async |engine| {
        let mut peak = 0;
        write((0..8000).collect()).await;
        for round in 0..4 {
            // Keys that are far apart, so that few pages lose all of their rows.
            for part in 0..8 {
                write((0..8000).skip(round + part).step_by(9).collect()).await;
            }
            engine.maintenance().flush().await.expect("the disk works");
            peak = peak.max(engine.maintenance().db_size().rows);
            let revision = engine.kv().reader().revision();
            engine.kv().compact(&CALLER, compaction(revision, true)).await.expect("a compaction");
        }
        // What a commit frees is free two commits later.
        for _ in 0..3 {
            write(vec![0]).await;
            engine.maintenance().flush().await.expect("the disk works");
        }
        peak
    });
    let size = member.engine.maintenance().db_size();
    assert!(size.rows > 8_000_000 && size.in_use * 2 < size.rows * 3, "{size:?}, {peak} at the most");
    assert!(size.total * 10 < peak * 18, "{size:?}, {peak} at the most");
    member.stop();
}
