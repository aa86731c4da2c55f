//! Members on damaged state files.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ferretcd_engine::{Config, CorruptionChecks};
use ferretcd_testkit::Random;
use prometheus::Registry;

use crate::support::*;

const PAGE: u64 = 4096;

/// Few pages in memory, so that reads reach the file.
fn settings(dir: &Path) -> Config {
    Config { backend_cache_bytes: 64 << 10, row_cache_bytes: 0, ..config(dir) }
}

/// A member that was stopped, with some thousand rows in several commits and a compaction behind it. Returns what it
/// had, and the bytes of its state file.
fn prepare(dir: &Path) -> ((i64, usize, u32), Vec<u8>) {
    let member = Member::start(settings(dir));
    let state = member.run(async |engine| {
        for i in 0..4000 {
            let (key, value) = (format!("key {:04}", i * 7 % 1500), "v".repeat(20 + i % 300));
            engine.kv().put(&CALLER, put(key, value)).await.expect("it leads");
        }
        engine.kv().compact(&CALLER, compaction(2000, true)).await.expect("that revision exists");
        summary(state(engine).await)
    });
    member.stop();
    (state, std::fs::read(dir.join("member/state.redb")).expect("a state file"))
}

/// The rows themselves are in the hash.
fn summary<T>((revision, rows, hash): (i64, Vec<T>, u32)) -> (i64, usize, u32) {
    (revision, rows.len(), hash)
}

/// Changes some bytes of the file, in what was ever written of it.
fn damage(path: &Path, whole: &[u8], rng: &mut Random) -> String {
    let written: Vec<_> = (0..whole.len() as u64 / PAGE)
        .map(|index| index * PAGE)
        .filter(|page| whole[*page as usize..][..PAGE as usize].iter().any(|byte| *byte != 0))
        .collect();
    let file = OpenOptions::new().write(true).open(path).expect("a state file");
    let page = if rng.below(6) == 0 { 0 } else { written[rng.below(written.len() as u64) as usize] };
    let place = page + rng.below(if page == 0 { 320 } else { PAGE });
    match rng.below(8) {
        0 => file.set_len(place).map(|()| format!("cut at {place}")),
        1 => file.set_len(whole.len() as u64 + 1 + place).map(|()| format!("{place} bytes longer")),
        2 => file.write_all_at(&[0; PAGE as usize], page).map(|()| format!("zeros at {page}")),
        _ => {
            let byte = whole[place as usize] ^ (1 << rng.below(8));
            file.write_all_at(&[byte], place).map(|()| format!("a bit of byte {place}"))
        }
    }
    .expect("the disk works")
}

/// Each start refuses with a text that names the file and the way out, or serves what was there.
#[test]
fn damaged_state_file_is_refused_or_serves_what_it_had() {
    let dir = tempfile::tempdir().expect("a directory");
    let (expected, whole) = prepare(dir.path());
    let path = dir.path().join("member/state.redb");
    let (mut n_refused, mut n_served) = (0, 0);
    for seed in 0..40 {
        std::fs::write(&path, &whole).expect("the disk works");
        let what = format!("seed {seed}, {}", damage(&path, &whole, &mut Random::new(seed)));
        let is_checked = seed % 2 == 0;
        let corruption_checks = CorruptionChecks { at_start: is_checked, periodic: None, compactions: None };
        let settings = Config { corruption_checks, ..settings(dir.path()) };
        match Member::try_start(settings, Registry::new()) {
            Err(error) => {
                let text = error.to_string();
                let names_file = text.contains(path.to_str().expect("a temporary name is text"));
                assert!(names_file && text.contains("restore this member from a snapshot"), "{what}: {text}");
                n_refused += 1;
            }
            Ok(member) => {
                assert_eq!(member.run(async |engine| summary(state(engine).await)), expected, "{what}");
                member.stop();
                n_served += 1;
            }
        }
    }
    assert!(n_refused > 12 && n_served > 3, "{n_refused} refused, {n_served} served");
}

/// A read that meets damage fails, and the member ends with the reason, whatever thread it was on.
#[test]
fn damage_under_a_running_member_ends_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_, whole) = prepare(dir.path());
    let path = dir.path().join("member/state.redb");
    let member = Member::start(settings(dir.path()));
    let file = OpenOptions::new().write(true).open(&path).expect("a state file");
    for page in 1..whole.len() / PAGE as usize {
        let middle = page * PAGE as usize + 2000;
        file.write_all_at(&[!whole[middle]], middle as u64).expect("the disk works");
    }
    let (read, reason) = member.run(async |engine| {
        let read = engine.maintenance().hash_kv(&CALLER, 0).await;
        (read, tokio::time::timeout(PATIENCE, engine.failed()).await.expect("it ends"))
    });
    assert!(read.is_err());
    assert!(reason.contains(path.to_str().expect("a temporary name is text")), "{reason}");
    assert!(reason.contains("does not match its checksum; restore this member from a snapshot"), "{reason}");
    member.stop();
}
