//! The state file gives back what compactions free.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ferretcd_api_proto::etcdserverpb::DeleteRangeRequest;
use ferretcd_engine::{Config, Engine};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::*;

const KEYS: usize = 500;
const VALUE_BYTES: usize = 120_000;

/// Rewrites that have ended in this run.
fn rewrites(member: &Member) -> u64 {
    let families = member.registry.gather();
    let name = "etcd_disk_backend_defrag_duration_seconds";
    let family = families.iter().find(|family| family.name() == name).expect("the member counts them");
    family.get_metric()[0].get_histogram().get_sample_count()
}

/// What the file takes on the disk.
fn bytes_on_disk(dir: &Path) -> u64 {
    fs::metadata(dir.join("member/state.redb")).expect("a state file").blocks() * 512
}

async fn write(engine: &Engine) {
    for i in 0..KEYS {
        engine.kv().put(&CALLER, put(format!("k{i:03}"), vec![i as u8; VALUE_BYTES])).await.expect("a put");
    }
    engine.maintenance().flush().await.expect("the disk works");
}

/// Leaves each tenth key, and nothing of their history once the compaction is over.
async fn delete(engine: &Engine, is_waiting: bool) {
    for i in (0..KEYS).filter(|i| i % 10 != 0) {
        let range = DeleteRangeRequest { key: format!("k{i:03}").into(), ..DeleteRangeRequest::default() };
        engine.kv().delete_range(&CALLER, range).await.expect("a delete");
    }
    let revision = engine.kv().reader().revision();
    engine.kv().compact(&CALLER, compaction(revision, is_waiting)).await.expect("a compaction");
}

#[test]
fn a_compaction_gives_its_room_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| write(engine).await);
    let full = bytes_on_disk(dir.path());
    assert!(full > (KEYS * VALUE_BYTES) as u64);
    member.run(async |engine| delete(engine, true).await);
    member.run(async |engine| {
        let rewritten = async {
            while rewrites(&member) == 0 {
                engine.maintenance().flush().await.expect("the disk works");
            }
        };
        timeout(PATIENCE, rewritten).await.expect("no request is needed");
    });
    let size = member.engine.maintenance().db_size();
    let left = bytes_on_disk(dir.path());
    assert!(left < full / 5 && left * 10 < size.rows * 13, "{left} of {full}, {size:?}");
    assert!(size.total * 10 < size.rows * 13, "{size:?}");
    let before = member.run(async |engine| state(engine).await);
    member.stop();
    let member = Member::start(config(dir.path()));
    assert_eq!(member.run(async |engine| state(engine).await), before);
    assert_eq!(rewrites(&member), 0);
    member.stop();
}

#[test]
fn requests_beside_writers_lose_nothing() {
    const WRITERS: usize = 16;
    const PUTS: usize = 40;
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    let before = member.run(async |engine| {
        write(engine).await;
        delete(engine, true).await;
        let revision = engine.kv().reader().revision();
        let hash = engine.maintenance().hash_kv(&CALLER, revision).await.expect("a hash");
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let engine = engine.clone();
            writers.spawn(async move {
                for i in 0..PUTS {
                    let put = put(format!("w{writer:02}{i:03}"), vec![i as u8; 300]);
                    engine.kv().put(&CALLER, put).await.expect("a put");
                }
            });
        }
        let (one, two) =
            tokio::join!(engine.maintenance().defragment(&CALLER), engine.maintenance().defragment(&CALLER));
        one.and(two).expect("the disk has room");
        // A request that is dropped does not end the rewrite, nor the thread.
        drop(timeout(std::time::Duration::ZERO, engine.maintenance().defragment(&CALLER)).await);
        writers.join_all().await;
        engine.maintenance().defragment(&CALLER).await.expect("the disk has room");
        let again = engine.maintenance().hash_kv(&CALLER, revision).await.expect("a hash");
        assert_eq!(again.hash, hash.hash);
        state(engine).await
    });
    assert!(rewrites(&member) > 0);
    let size = member.engine.maintenance().db_size();
    assert!(size.total * 10 < size.rows * 13, "{size:?}");
    assert_eq!(before.1.len(), KEYS / 10 + WRITERS * PUTS);
    member.stop();
    let member = Member::start(config(dir.path()));
    assert_eq!(member.run(async |engine| state(engine).await), before);
    member.stop();
}

#[test]
fn a_snapshot_that_is_sent_meanwhile_stays_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| write(engine).await);
    let snapshot = || member.engine.maintenance().open_snapshot(&CALLER, 0).expect("a snapshot");
    let (mut one, mut other) = (snapshot(), snapshot());
    let mut expected = Vec::new();
    one.read_to_end(&mut expected).expect("the disk works");
    drop(one);
    let mut found = vec![0; expected.len() / 2];
    other.read_exact(&mut found).expect("the disk works");
    member.run(async |engine| delete(engine, true).await);
    member.run(async |engine| engine.maintenance().defragment(&CALLER).await).expect("the disk has room");
    assert!(rewrites(&member) > 0);
    other.read_to_end(&mut found).expect("the disk works");
    assert!(found == expected);
    drop(other);
    member.stop();
}

#[test]
fn a_member_that_was_killed_leaves_no_part() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| {
        engine.kv().put(&CALLER, put("k", "v")).await.expect("a put");
        engine.maintenance().flush().await.expect("the disk works");
    });
    let killed = tempfile::tempdir().expect("a directory");
    copy(dir.path(), killed.path());
    let part = killed.path().join("member/state.rewritten.part.redb");
    fs::copy(killed.path().join("member/state.redb"), &part).expect("the disk works");
    let before = member.run(async |engine| state(engine).await);
    member.stop();
    let member = Member::start(config(killed.path()));
    assert!(!part.exists());
    assert_eq!(member.run(async |engine| state(engine).await), before);
    member.stop();
}

#[test]
fn a_start_gives_back_what_is_worth_it() {
    let dir = tempfile::tempdir().expect("a directory");
    // One step of the compaction, which removes most rows, then nothing for an hour: the file is not rewritten by itself.
    let sleepy = || Config { compaction_batch: 400, compaction_sleep: PATIENCE * 100, ..config(dir.path()) };
    let member = Member::start(sleepy());
    member.run(async |engine| {
        write(engine).await;
        delete(engine, false).await;
        let full = engine.maintenance().db_size().rows;
        let removed = async {
            while engine.maintenance().db_size().rows * 2 > full {
                engine.maintenance().flush().await.expect("the disk works");
            }
        };
        timeout(PATIENCE, removed).await.expect("the first step needs no request");
    });
    member.stop();
    let full = bytes_on_disk(dir.path());
    for (threshold, n_rewrites) in [(1 << 40, 0), (1 << 20, 1)] {
        let member = Member::start(Config { defragment_at_start_bytes: threshold, ..sleepy() });
        assert_eq!(rewrites(&member), n_rewrites);
        assert_eq!(bytes_on_disk(dir.path()) < full / 2, n_rewrites > 0);
        member.stop();
    }
}
