//! The log does not grow for ever.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ferretcd_api_proto::etcdserverpb::RangeRequest;
use ferretcd_engine::Config;

use crate::support::*;

fn segments(dir: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(dir.join("member/wal")).expect("a log");
    let names =
        names.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name as text"));
    names.filter(|name| name.ends_with(".wal")).collect()
}

#[test]
fn segments_are_released_after_so_many_entries() {
    segments_are_released(|config| Config { snapshot_count: 10, snapshot_bytes: u64::MAX, ..config });
}

#[test]
fn segments_are_released_after_so_many_bytes() {
    segments_are_released(|config| Config { snapshot_bytes: 16 << 20, ..config });
}

/// With two and a half segments of entries, all but the last go when the state file covers them.
fn segments_are_released(settings: impl Fn(Config) -> Config) {
    const VALUE: usize = 1_500_000;
    const PUTS: usize = 110;
    let dir = tempfile::tempdir().expect("a directory");
    let settings = || {
        settings(Config {
            wals_max: 1,
            quota_bytes: -1,
            // Only the machine's end would tell the difference.
            unsafe_no_fsync: true,
            ..config(dir.path())
        })
    };
    let member = Member::start(settings());
    let first = segments(dir.path());
    member.run(async |engine| {
        let value = bytes::Bytes::from(vec![b'v'; VALUE]);
        for index in 0..PUTS {
            engine.kv().put(&CALLER, put(format!("k{}", index % 3), value.clone())).await.expect("a put");
        }
        engine.maintenance().flush().await.expect("a commit");
    });
    member.stop();
    let last = segments(dir.path());
    assert_eq!(last.len(), 1, "{last:?}");
    assert!(first.is_disjoint(&last), "{first:?}");

    let member = Member::start(settings());
    member.run(async |engine| {
        let range = RangeRequest { keys_only: true, ..everything(0) };
        let range = engine.kv().range(&CALLER, range).await.expect("a read");
        let versions: Vec<_> =
            range.kvs.iter().map(|row| row.decode().expect("a stored row").version).collect();
        assert_eq!(versions, [37, 37, 36]);
        assert_eq!(engine.kv().reader().revision(), 1 + PUTS as i64);
        engine.kv().put(&CALLER, put("k0", "small")).await.expect("it goes on");
    });
    member.stop();
}
