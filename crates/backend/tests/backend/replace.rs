//! Another file under an open handle.

use std::fs;
use std::sync::{Arc, Barrier};
use std::thread;

use ferretcd_backend::{Backend, Batch, Bucket, Config, Error, MemoryMedium, OpenError};

const CONFIG: Config = Config { cache_bytes: 1 << 20 };

fn one_row(value: &'static str) -> Batch {
    let mut batch = Batch::default();
    batch.put(Bucket::Key, "k", value);
    batch
}

fn backend(value: &'static str) -> Backend {
    let backend = Backend::in_memory();
    backend.commit(&one_row(value)).expect("memory");
    backend
}

fn value(backend: &Backend) -> String {
    let value = backend.view().get(Bucket::Key, b"k").expect("memory").expect("it was put");
    String::from_utf8(value.to_vec()).expect("text")
}

#[test]
fn all_clones_show_the_new_file_and_views_the_old_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, coming) = (directory.path().join("state.redb"), directory.path().join("coming.redb"));
    let backend = Backend::open(&path, &CONFIG).expect("new");
    backend.commit(&one_row("old")).expect("disk");
    Backend::open(&coming, &CONFIG).expect("new").commit(&one_row("new")).expect("disk");

    let (clone, pinned, view) = (backend.clone(), backend.pinned(), backend.view());
    fs::rename(&coming, &path).expect("same directory");
    backend.replace(&path, &CONFIG).expect("a backend");

    assert_eq!([value(&backend), value(&clone), value(&pinned)], ["new", "new", "old"]);
    assert_eq!(view.get(Bucket::Key, b"k").expect("disk").as_deref(), Some(&b"old"[..]));
    assert!(matches!(pinned.commit(&one_row("late")), Err(Error::Replaced)));
    assert_eq!(value(&pinned), "old");

    clone.commit(&one_row("newer")).expect("disk");
    assert_eq!(value(&backend), "newer");
    drop((backend, clone, pinned, view));
    assert_eq!(value(&Backend::open(&path, &CONFIG).expect("a backend")), "newer");
}

#[test]
fn a_file_that_cannot_be_opened_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("not.redb");
    fs::write(&path, "something else").expect("disk");
    let backend = backend("old");
    assert!(matches!(backend.replace(&path, &CONFIG), Err(OpenError::Foreign { .. })));
    backend.commit(&one_row("older")).expect("memory");
    assert_eq!(value(&backend), "older");
}

#[test]
fn a_file_can_take_its_own_place() {
    let backend = backend("old");
    backend.replace_by(&backend.clone());
    backend.commit(&one_row("same")).expect("memory");
    assert_eq!(value(&backend), "same");
}

#[test]
fn a_failed_file_is_replaced_by_one_that_works() {
    let medium = MemoryMedium::new();
    let backend = Backend::open_on(medium.clone(), &CONFIG).expect("memory");
    medium.fail_after(0);
    assert!(backend.commit(&one_row("lost")).is_err());
    backend.replace_by(&self::backend("new"));
    backend.commit(&one_row("newer")).expect("memory");
    assert_eq!(value(&backend), "newer");
}

/// A commit ends up in one of the files as a whole, or in none.
#[test]
fn commits_beside_a_replacement_are_not_torn() {
    for _ in 0..20 {
        let (old, new) = (backend("0"), backend("new"));
        let shown = old.clone();
        let before = old.pinned();
        let both_run = Arc::new(Barrier::new(2));
        let writer = thread::spawn({
            let (shown, both_run) = (shown.clone(), Arc::clone(&both_run));
            move || {
                let mut batch = Batch::default();
                batch.put(Bucket::Key, "a", "1");
                batch.put(Bucket::Meta, "a", "1");
                both_run.wait();
                shown.commit(&batch)
            }
        });
        both_run.wait();
        shown.replace_by(&new);
        let outcome = writer.join().expect("no panic");
        let has = |backend: &Backend, bucket| backend.view().get(bucket, b"a").expect("memory").is_some();
        let found = [&before, &new].map(|backend| {
            assert_eq!(has(backend, Bucket::Key), has(backend, Bucket::Meta));
            has(backend, Bucket::Key)
        });
        assert_eq!(found.iter().filter(|found| **found).count(), usize::from(outcome.is_ok()));
    }
}
