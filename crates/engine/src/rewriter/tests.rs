use std::cell::Cell;

use ferretcd_backend::Bucket;
use prometheus::Registry;
use tempfile::TempDir;
use tokio::sync::oneshot::Receiver;

use super::*;

const CONFIG: ferretcd_backend::Config = ferretcd_backend::Config { cache_bytes: 4 << 20 };
const ROWS: u32 = 320;
const ROW_BYTES: usize = 120_000;

thread_local! {
    /// What the tests' disk has left.
    static FREE: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// A state file, and what rewrites it on this thread.
struct File {
    rewriter: Rewriter,
    backend: Backend,
    paths: Paths,
    metrics: Arc<Metrics>,
    _dir: TempDir,
}

impl File {
    /// A file of 40 MB; of each ten rows one is left if `is_deleted`.
    fn new(is_deleted: bool) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(dir.path(), None);
        fs::create_dir_all(paths.member()).expect("a disk");
        let backend = Backend::open(&paths.state_file(), &CONFIG).expect("a new file");
        for i in 0..ROWS {
            backend.commit(&row(i)).expect("a disk");
        }
        let mut deletes = Batch::default();
        for i in (0..ROWS).filter(|i| is_deleted && i % 10 != 0) {
            deletes.delete(Bucket::Key, i.to_be_bytes().to_vec());
        }
        backend.commit(&deletes).expect("a disk");
        let metrics = Arc::new(Metrics::register(&Registry::new()).expect("a new registry"));
        let mut rewriter = Rewriter::new(backend.clone(), CONFIG, paths.clone(), Arc::clone(&metrics));
        FREE.set(u64::MAX);
        rewriter.disk_space = |_| Ok(DiskSpace { total: u64::MAX, free: FREE.get() });
        Self { rewriter, backend, paths, metrics, _dir: dir }
    }

    fn request(&mut self) -> Receiver<Result<(), Arc<DefragmentError>>> {
        let (waiter, done) = oneshot::channel();
        self.rewriter.request(vec![waiter]);
        done
    }

    /// One turn of the thread after a commit.
    fn commit(&mut self, i: u32) {
        let batch = row(i);
        self.backend.commit(&batch).expect("a disk");
        self.rewriter.follow(&batch);
        self.rewriter.work(Some(batch.bytes()), false).expect("a disk");
    }

    /// Turns without a commit, until nothing is due any more.
    fn run(&mut self) {
        while self.rewriter.running.is_some() {
            self.rewriter.work(Some(0), false).expect("a disk");
        }
    }

    fn has_part(&self) -> bool {
        self.paths.rewritten_state_file().exists()
    }

    fn n_rewrites(&self) -> u64 {
        assert_eq!(self.metrics.defrag_inflight.get(), i64::from(self.rewriter.running.is_some()));
        self.metrics.defrag.get_sample_count()
    }

    fn count(&self) -> u64 {
        self.backend.view().count(Bucket::Key).expect("a disk")
    }

    fn is_small(&self) -> bool {
        let size = self.backend.size();
        size.total * 10 < size.rows * 13
    }
}

fn row(i: u32) -> Batch {
    let mut batch = Batch::default();
    batch.put(Bucket::Key, i.to_be_bytes().to_vec(), vec![i as u8; ROW_BYTES]);
    batch
}

#[test]
fn a_file_of_deleted_rows_is_rewritten_by_itself_and_once() {
    let mut file = File::new(true);
    assert!(!file.is_small());
    assert!(file.rewriter.next(true).is_none(), "a compaction is not over");
    file.rewriter.work(Some(1), true).expect("nothing is due");
    assert!(!file.has_part());
    assert!(file.rewriter.next(false).is_some_and(|time| time <= Instant::now()));
    file.rewriter.work(None, false).expect("a disk");
    assert!(file.has_part() && file.rewriter.next(true).is_some(), "what has begun goes on");
    file.run();
    assert!(file.is_small() && !file.has_part());
    assert_eq!((file.count(), file.n_rewrites()), (u64::from(ROWS) / 10, 1));
    // It needs no other, and gets none.
    file.rewriter.not_before = Instant::now();
    assert!(file.rewriter.next(false).is_none());
    file.commit(1);
    assert_eq!(file.n_rewrites(), 1);
}

#[test]
fn a_rewrite_catches_up_with_writes() {
    let mut file = File::new(true);
    for i in ROWS.. {
        file.commit(i);
        if file.rewriter.running.is_none() {
            break;
        }
        assert!(i < 10 * ROWS, "it never ends");
    }
    assert_eq!(file.n_rewrites(), 1);
    assert!(file.count() > u64::from(ROWS) / 10);
    assert!(file.is_small());
}

#[test]
fn a_full_file_is_left_alone() {
    let mut file = File::new(false);
    assert!(file.rewriter.next(false).is_none());
    // Unless a client requests it; and it learns that there is nothing to gain.
    let done = file.request();
    file.rewriter.work(Some(0), false).expect("a disk");
    file.run();
    assert!(matches!(done.blocking_recv(), Ok(Ok(()))));
    let n_rewrites = file.n_rewrites();
    let again = file.request();
    assert!(matches!(again.blocking_recv(), Ok(Ok(()))));
    assert_eq!((file.n_rewrites(), file.count()), (n_rewrites, u64::from(ROWS)));
}

#[test]
fn requests_share_a_rewrite_and_may_go() {
    let mut file = File::new(true);
    let (first, second) = (file.request(), file.request());
    file.rewriter.work(Some(0), false).expect("a disk");
    let third = file.request();
    drop(first);
    file.run();
    assert!(matches!(second.blocking_recv(), Ok(Ok(()))));
    assert!(matches!(third.blocking_recv(), Ok(Ok(()))));
    assert_eq!(file.n_rewrites(), 1);
}

#[test]
fn without_room_nothing_is_left_of_it() {
    const RESERVE: u64 = 256 << 20;
    let mut file = File::new(true);
    let before = file.backend.size();
    // Too little before it begins.
    FREE.set(RESERVE);
    let done = file.request();
    file.rewriter.work(None, false).expect("the member goes on");
    let error = done.blocking_recv().expect("a response").expect_err("there is no room");
    let expected = file.rewriter.expected(before);
    assert!(matches!(&*error, DefragmentError::DiskFull { missing, .. } if *missing == expected), "{error}");
    assert!(!file.has_part() && file.n_rewrites() == 0);
    // It is tried again, but not soon.
    let next = file.rewriter.next(false).expect("there is much to gain");
    assert!(next > Instant::now() + PAUSE_AFTER_FAILURE / 2);

    // Too little on the way.
    FREE.set(u64::MAX);
    let done = file.request();
    file.rewriter.work(None, false).expect("a disk");
    assert!(file.has_part());
    FREE.set(RESERVE - 1);
    file.commit(1);
    assert!(matches!(done.blocking_recv(), Ok(Err(_))));
    assert!(!file.has_part() && file.n_rewrites() == 0);
    assert_eq!(file.count(), u64::from(ROWS) / 10 + 1);

    FREE.set(u64::MAX);
    let done = file.request();
    file.rewriter.work(None, false).expect("a disk");
    file.run();
    assert!(matches!(done.blocking_recv(), Ok(Ok(()))));
    assert!(file.is_small());
}

#[test]
fn pauses_after_failures_are_bounded() {
    let mut file = File::new(true);
    FREE.set(0);
    for _ in 0..20 {
        file.rewriter.not_before = Instant::now();
        file.rewriter.work(None, false).expect("the member goes on");
        assert!(file.rewriter.not_before <= Instant::now() + PAUSE_AFTER_FAILURE_MAX);
    }
    assert_eq!(file.rewriter.pause, PAUSE_AFTER_FAILURE_MAX);
}

#[test]
fn a_received_state_ends_a_rewrite() {
    let mut file = File::new(true);
    let done = file.request();
    file.rewriter.work(None, false).expect("a disk");
    let received = file.paths.member().join("received.redb");
    Backend::open(&received, &CONFIG).expect("a new file").commit(&row(7)).expect("a disk");
    file.backend.retire();
    fs::rename(&received, file.paths.state_file()).expect("a disk");
    file.backend.replace(&file.paths.state_file(), &CONFIG).expect("a backend");
    file.commit(8);
    assert!(matches!(done.blocking_recv(), Ok(Ok(()))), "the new file is as small as it can be");
    assert!(file.rewriter.running.is_none() && !file.has_part());
    assert_eq!((file.count(), file.n_rewrites()), (2, 0));
    file.commit(9);
    assert!(file.rewriter.next(false).is_none());
}

#[test]
fn the_end_of_the_thread_leaves_nothing() {
    let mut file = File::new(true);
    let done = file.request();
    file.rewriter.work(None, false).expect("a disk");
    let (path, rewriter) = (file.paths.rewritten_state_file(), file.rewriter);
    assert!(path.exists());
    drop(rewriter);
    assert!(!path.exists());
    done.blocking_recv().expect_err("the member is stopping");
}

#[test]
fn a_start_rewrites_what_is_worth_it() {
    let mut file = File::new(true);
    file.rewriter.at_start(0).expect("never");
    file.rewriter.at_start(1 << 30).expect("not so much");
    assert_eq!(file.n_rewrites(), 0);
    FREE.set(0);
    file.rewriter.at_start(1 << 20).expect("a start without room goes on");
    assert_eq!(file.n_rewrites(), 0);
    FREE.set(u64::MAX);
    file.rewriter.at_start(1 << 20).expect("a disk");
    assert_eq!(file.n_rewrites(), 1);
    assert!(file.is_small() && !file.has_part());
}
