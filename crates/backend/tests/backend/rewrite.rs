//! The same rows in a new file, with commits in between.

use std::fs;
use std::io;
use std::ops::Bound;
use std::path::Path;

use ferretcd_backend::{
    Backend, Batch, Bucket, Config, Error, MemoryMedium, OpenError, Rewrite, RewriteError,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::{Model, contents};

const CONFIG: Config = Config { cache_bytes: 64 << 10 };

/// Few keys, so that puts and deletes meet rows on both sides of what is copied.
type Change = (Bucket, u8, Option<Vec<u8>>);

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Change>),
    Copy(usize),
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(any::<u8>(), 0..20),
        2 => (any::<u8>(), 500_usize..3000).prop_map(|(byte, n)| vec![byte; n]),
        1 => (any::<u8>(), 5000_usize..20_000).prop_map(|(byte, n)| vec![byte; n]),
    ]
}

fn commit() -> impl Strategy<Value = Vec<Change>> {
    let bucket = prop_oneof![3 => Just(Bucket::Key), 1 => proptest::sample::select(Bucket::ALL.to_vec())];
    vec((bucket, any::<u8>(), proptest::option::weighted(0.6, value())), 0..30)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![commit().prop_map(Step::Commit), (0_usize..8000).prop_map(Step::Copy)]
}

/// Puts into the batch and the model alike.
fn batch(changes: Vec<Change>, model: &mut Model) -> Batch {
    let mut batch = Batch::default();
    for (bucket, key, value) in changes {
        match value {
            Some(value) => {
                batch.put(bucket, vec![key], value.clone());
                model.put(bucket, vec![key], value);
            }
            None => {
                batch.delete(bucket, vec![key]);
                model.delete(bucket, &[key]);
            }
        }
    }
    batch
}

fn check(first: Vec<Change>, steps: Vec<Step>, last: Vec<Change>) -> Result<(), TestCaseError> {
    let backend = Backend::in_memory();
    let mut model = Model::default();
    backend.commit(&batch(first, &mut model)).expect("memory");
    let pinned = backend.pinned();
    let (before, model_before) = (backend.view(), model.clone());
    let medium = MemoryMedium::new();
    let mut rewrite = Rewrite::begin_on(&backend, medium.clone(), &CONFIG).expect("memory");
    for step in steps {
        match step {
            Step::Commit(changes) => {
                let batch = batch(changes, &mut model);
                backend.commit(&batch).expect("memory");
                rewrite.follow(&batch);
            }
            Step::Copy(bytes) => drop(rewrite.step(bytes).expect("memory")),
        }
    }
    while !rewrite.step(1000).expect("memory") {}
    let last = batch(last, &mut model);
    backend.commit(&last).expect("memory");
    rewrite.follow(&last);
    rewrite.finish(|| Ok(())).expect("memory");

    prop_assert_eq!(contents(&before), model_before, "an older view changed");
    prop_assert_eq!(contents(&backend.view()), model.clone());
    prop_assert_eq!(contents(&pinned.view()), model.clone(), "it is no other file");
    prop_assert_eq!(backend.size().rows, model.in_use());
    let mut marked = Batch::default();
    marked.put(Bucket::Meta, "mark", "1");
    model.put(Bucket::Meta, b"mark".to_vec(), b"1".to_vec());
    pinned.commit(&marked).expect("memory");
    prop_assert_eq!(contents(&backend.view()), model.clone());
    backend.check().expect("all pages are whole");
    drop((backend, pinned, before));
    let reopened = Backend::open_on(medium, &CONFIG).expect("it was closed in order");
    prop_assert_eq!(contents(&reopened.view()), model);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_new_file_has_the_rows_of_all_commits(
        first in commit(), steps in vec(step(), 0..20), last in commit()
    ) {
        check(first, steps, last)?;
    }
}

/// `n` rows of 1 KB, as revisions make them.
fn rows(range: std::ops::Range<u64>) -> Batch {
    let mut batch = Batch::default();
    for i in range {
        batch.put(Bucket::Key, i.to_be_bytes().to_vec(), vec![i as u8; 1000]);
    }
    batch
}

/// All but each tenth.
fn deletes(range: std::ops::Range<u64>) -> Batch {
    let mut batch = Batch::default();
    for i in range.filter(|i| i % 10 != 0) {
        batch.delete(Bucket::Key, i.to_be_bytes().to_vec());
    }
    batch
}

fn rewrite(backend: &Backend, dir: &Path) {
    let part = dir.join("part");
    let mut rewrite = Rewrite::begin(backend, &part, &CONFIG).expect("a disk");
    while !rewrite.step(1 << 20).expect("a disk") {}
    rewrite.finish(|| fs::rename(&part, dir.join("state"))).expect("a disk");
}

#[test]
fn a_file_gets_as_small_as_its_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    let backend = Backend::open(&path, &CONFIG).expect("new");
    backend.commit(&rows(0..20_000)).expect("a disk");
    backend.commit(&deletes(0..20_000)).expect("a disk");
    let before = backend.size();
    rewrite(&backend, dir.path());
    let after = backend.size();
    assert!(before.total > 20_000_000, "{before:?}");
    assert_eq!((before.rows, before.packed), (after.rows, after.packed));
    // The estimate is what comes out, but for the pages above the leaves and redb's own.
    let is_near = |bytes: u64| bytes.abs_diff(after.packed) < after.packed / 20 + (128 << 10);
    assert!(is_near(after.total) && is_near(after.in_use), "{after:?}");
    drop(backend);
    let reopened = Backend::open(&path, &CONFIG).expect("a backend");
    assert_eq!((reopened.size().rows, reopened.was_scanned()), (after.rows, false));
    assert_eq!(reopened.view().count(Bucket::Key).expect("a disk"), 2000);
}

#[test]
fn views_from_before_keep_the_old_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let backend = Backend::open(&dir.path().join("state"), &CONFIG).expect("new");
    backend.commit(&rows(0..3000)).expect("a disk");
    let before = backend.view();
    let mut half_read = before.range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded)).expect("a disk");
    half_read.next().expect("a row").expect("a disk");
    let batch = deletes(0..3000);
    backend.commit(&batch).expect("a disk");
    rewrite(&backend, dir.path());
    assert_eq!(backend.open_transactions(), 2);
    assert_eq!(before.count(Bucket::Key).expect("a disk"), 3000);
    drop(before);
    let rest: Result<Vec<_>, _> = half_read.collect();
    assert_eq!(rest.expect("a disk").len(), 2999);
    assert_eq!(backend.open_transactions(), 1);
    assert_eq!(backend.view().count(Bucket::Key).expect("a disk"), 300);
}

#[test]
fn a_rewrite_that_is_dropped_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let part = dir.path().join("part");
    fs::write(&part, "of an earlier one").expect("a disk");
    let backend = Backend::open(&dir.path().join("state"), &CONFIG).expect("new");
    backend.commit(&rows(0..100)).expect("a disk");
    let mut rewrite = Rewrite::begin(&backend, &part, &CONFIG).expect("a disk");
    assert!(!rewrite.step(1000).expect("a disk"));
    assert!(rewrite.bytes().expect("a disk") > 0 && part.exists());
    drop(rewrite);
    assert!(!part.exists());
    backend.commit(&rows(100..200)).expect("a disk");
    assert_eq!(backend.view().count(Bucket::Key).expect("a disk"), 200);
}

#[test]
fn a_replaced_file_is_not_rewritten() {
    let (backend, other) = (Backend::in_memory(), Backend::in_memory());
    backend.commit(&rows(0..10)).expect("memory");
    let mut half = Rewrite::begin_on(&backend, MemoryMedium::new(), &CONFIG).expect("memory");
    let mut whole = Rewrite::begin_on(&backend, MemoryMedium::new(), &CONFIG).expect("memory");
    assert!(!half.step(1).expect("memory") && whole.step(1 << 20).expect("memory"));
    let is_replaced = |outcome| matches!(outcome, Err(RewriteError::Rows(Error::Replaced)));

    backend.retire();
    assert!(matches!(backend.commit(&rows(10..11)), Err(Error::Replaced)));
    assert!(is_replaced(half.step(1).map(drop)));
    assert!(is_replaced(whole.finish(|| panic!("its name is another file's"))));
    assert!(is_replaced(Rewrite::begin_on(&backend, MemoryMedium::new(), &CONFIG).map(drop)));
    assert_eq!(backend.view().count(Bucket::Key).expect("memory"), 10);

    backend.replace_by(&other);
    // Of the new file: the rewrite knows nothing of it.
    backend.commit(&rows(0..1)).expect("memory");
    half.follow(&rows(0..1));
    assert!(is_replaced(half.step(1).map(drop)));
}

#[test]
fn a_commit_that_was_not_followed_is_noticed() {
    let backend = Backend::in_memory();
    let mut rewrite = Rewrite::begin_on(&backend, MemoryMedium::new(), &CONFIG).expect("memory");
    backend.commit(&Batch::default()).expect("memory");
    rewrite.step(1).expect("an empty batch is no commit");
    backend.commit(&rows(0..1)).expect("memory");
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rewrite.step(1))).expect_err("a panic");
    backend.commit(&rows(1..2)).expect("the old file is as it was");
}

#[test]
fn without_a_name_there_are_no_more_commits() {
    let backend = Backend::in_memory();
    backend.commit(&rows(0..10)).expect("memory");
    let mut rewrite = Rewrite::begin_on(&backend, MemoryMedium::new(), &CONFIG).expect("memory");
    assert!(rewrite.step(1 << 20).expect("memory"));
    let outcome = rewrite.finish(|| Err(io::Error::other("no names today")));
    assert!(matches!(outcome, Err(RewriteError::Name { .. })), "{outcome:?}");
    assert!(matches!(backend.commit(&rows(10..11)), Err(Error::Poisoned)));
    assert_eq!(backend.view().count(Bucket::Key).expect("memory"), 10);
}

/// A life with a rewrite between commits, where the new medium ends after so many changes. Returns the last state that a
/// commit returned for, and what a crash would leave of the new file at the moment when it gets the name, if it does.
fn live(old: &MemoryMedium, new: &MemoryMedium, at_most: usize) -> (Model, Option<MemoryMedium>) {
    let backend = Backend::open_on(old.clone(), &CONFIG).expect("memory");
    backend.commit(&rows(0..30)).expect("memory");
    let (mut model, mut named) = (contents(&backend.view()), None);
    new.fail_after(at_most);
    let mut rewritten = || -> Result<(), RewriteError> {
        let mut rewrite = Rewrite::begin_on(&backend, new.clone(), &CONFIG)?;
        for i in 0.. {
            let is_whole = rewrite.step(8000)?;
            let mut batch = rows(i..i + 1);
            batch.put(Bucket::Key, (100 + i).to_be_bytes().to_vec(), "behind");
            batch.delete(Bucket::Key, (i + 10).to_be_bytes().to_vec());
            backend.commit(&batch).expect("the old file works");
            model = contents(&backend.view());
            rewrite.follow(&batch);
            if is_whole {
                break;
            }
        }
        rewrite.finish(|| {
            named = Some(new.crash(|| false));
            Ok(())
        })
    };
    let outcome = rewritten();
    assert_eq!(outcome.is_ok(), named.is_some(), "{outcome:?}");
    assert_eq!(contents(&backend.view()), model, "{outcome:?}");
    if named.is_none() {
        // The old file goes on as if nothing had been.
        backend.commit(&rows(500..501)).expect("the old file works");
        model = contents(&backend.view());
    }
    (model, named)
}

#[test]
fn a_failure_of_the_new_file_at_any_change_keeps_the_old_one() {
    for n in 0.. {
        let (old, new) = (MemoryMedium::new(), MemoryMedium::new());
        let (model, named) = live(&old, &new, n);
        let is_renamed = named.is_some();
        let left = named.unwrap_or_else(|| old.crash(|| false));
        let reopened = Backend::open_on(left, &CONFIG).expect("a crash leaves a backend");
        assert_eq!(contents(&reopened.view()), model, "after {n} changes");
        assert!(!reopened.was_scanned());
        if is_renamed {
            return;
        }
    }
}

#[test]
fn a_rewrite_needs_a_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let backend = Backend::in_memory();
    let nowhere = dir.path().join("none").join("part");
    let begun = Rewrite::begin(&backend, &nowhere, &CONFIG);
    assert!(matches!(begun, Err(RewriteError::Open(OpenError::Io { .. }))), "{begun:?}");
    backend.commit(&rows(0..1)).expect("memory");
}
