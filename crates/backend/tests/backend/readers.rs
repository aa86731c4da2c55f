//! Readers on other threads see whole commits.

use std::ops::Bound;
use std::thread;

use ferretcd_backend::{Backend, Batch, Bucket};

const N_COMMITS: u64 = 200;

/// Reads until the last commit shows; in each view the rows and the mark are of the same commit.
fn read_to_the_end(backend: &Backend) {
    let mut newest = 0;
    while newest < N_COMMITS {
        let view = backend.view();
        let mark = view.get(Bucket::Meta, b"mark").expect("memory does not fail");
        let mark = mark.map_or(0, |mark| u64::from_be_bytes(mark[..].try_into().expect("8 bytes")));
        assert!(mark >= newest, "views only get newer");
        newest = mark;
        let rows = view.range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded));
        assert_eq!(rows.expect("memory does not fail").count() as u64, mark);
        let last = mark.checked_sub(1).map(u64::to_be_bytes);
        if let Some(last) = last {
            assert!(view.get(Bucket::Key, &last).expect("memory does not fail").is_some());
        }
    }
}

#[test]
fn readers_see_whole_commits() {
    let backend = Backend::in_memory();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| read_to_the_end(&backend));
        }
        for i in 0..N_COMMITS {
            let mut batch = Batch::default();
            batch.put(Bucket::Key, i.to_be_bytes().to_vec(), vec![1; 200]);
            batch.put(Bucket::Meta, "mark", (i + 1).to_be_bytes().to_vec());
            backend.commit(&batch).expect("memory does not fail");
        }
    });
}

#[test]
fn open_transactions_are_those_of_states_that_are_still_shown() {
    let backend = Backend::in_memory();
    let mut n_rows = 0_u64;
    let mut commit = || {
        let mut batch = Batch::default();
        n_rows += 1;
        batch.put(Bucket::Key, n_rows.to_be_bytes().to_vec(), vec![1]);
        backend.commit(&batch).expect("memory does not fail");
    };
    assert_eq!(backend.open_transactions(), 1, "that of the newest state");
    commit();
    let views = [backend.view(), backend.view()];
    commit();
    assert_eq!(backend.open_transactions(), 2, "views of one state share one");
    let rows =
        views[0].range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded)).expect("memory does not fail");
    drop(views);
    assert_eq!(backend.open_transactions(), 2, "rows keep it open");
    drop(rows);
    assert_eq!(backend.open_transactions(), 1);
}
