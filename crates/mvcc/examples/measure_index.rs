//! The cost of the key index with many keys: puts, scans and counts, and memory for each key.
//!
//! `cargo run --release -p ferretcd-mvcc --example measure_index N_KEYS [ascending]`: new keys come in random
//! order, or ascending. Rows are dropped instead of committed, so that the index alone takes memory and only
//! what it holds is read.

mod common;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_mvcc::{Config, RangeOptions, Reader, Store};

use self::common::{Result, resident_bytes, say};

const COUNT: RangeOptions =
    RangeOptions { at: None, limit: 0, count_only: true, keys_only: false, skip_count: false };

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let n_keys: usize = arguments.next().ok_or("give a number of keys")?.parse()?;
    let step = if arguments.next().is_some() { 1 } else { 7_368_787 };
    let mut store = Store::open(Backend::in_memory(), &Config { cache_bytes: 1 << 20 })?;
    let reader = store.reader();

    let before = resident_bytes()?;
    puts(&mut store, "put of a new key", (0..n_keys).map(|n| key(n.wrapping_mul(step), n_keys)))?;
    let per_key = resident_bytes()?.saturating_sub(before) / n_keys;
    say(&format!("memory: {per_key} bytes for each key"))?;
    let of_each = store.revision();

    scan(&reader, n_keys)?;
    count(&reader, "count of all keys", &KeyRange::all(), None)?;
    let half = KeyRange::From(key(n_keys / 2, n_keys));
    count(&reader, "count of half of all keys", &half, None)?;

    let n_puts = n_keys.min(1_000_000);
    puts(&mut store, "put of an existing key, random", (0..n_puts).map(|n| key(n * 7_368_787, n_keys)))?;
    puts(&mut store, "put of an existing key, ascending", (0..n_puts).map(|n| key(n, n_keys)))?;
    puts(&mut store, "put of one of 100 keys", (0..n_puts).map(|n| key(n % 100, n_keys)))?;
    count(&reader, "count at an old revision", &half, Some(of_each))?;

    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(&mut store, n_keys, &stop));
        let counted = count(&reader, "count of all keys beside a writer", &KeyRange::all(), None)
            .and_then(|()| count(&reader, "count of half of all keys beside a writer", &half, None));
        stop.store(true, Ordering::Relaxed);
        let n_written = writer.join().expect("the writer does not panic");
        counted.and_then(|()| say(&format!("puts beside them: {n_written}")))
    })
}

/// Keys of 20 bytes.
fn key(n: usize, n_keys: usize) -> Bytes {
    format!("registry/{:011}", n % n_keys).into()
}

/// Puts in transactions of one.
fn puts(store: &mut Store, what: &str, keys: impl ExactSizeIterator<Item = Bytes>) -> Result<()> {
    let n = keys.len();
    let mut times = Vec::with_capacity(n.div_ceil(1_000));
    for (n, key) in keys.enumerate() {
        if n % 1_000 == 0 {
            times.push(Instant::now());
        }
        put(store, key);
    }
    times.push(Instant::now());
    let mut steps: Vec<Duration> = times.windows(2).map(|times| times[1] - times[0]).collect();
    steps.sort_unstable();
    let (mean, median) = (times[times.len() - 1] - times[0], steps[steps.len() / 2]);
    say(&format!("{what}: {:?}, median of thousands {:?}", mean / u32::try_from(n)?, median / 1_000))
}

fn put(store: &mut Store, key: Bytes) {
    let mut batch = Batch::default();
    let mut txn = store.write(&mut batch);
    txn.put(key, Bytes::from_static(b"a value of twenty."), LeaseId::NONE);
    let revision = black_box(txn.commit()).revision;
    store.release(revision);
}

/// Puts of existing and of new keys in turn. Returns how many there were.
fn write_until(store: &mut Store, n_keys: usize, stop: &AtomicBool) -> usize {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let spread = n * 7_368_787;
        put(store, key(spread, n_keys));
        put(store, format!("registry/{:011}/new", spread % n_keys).into());
        n += 1;
    }
    2 * n
}

fn scan(reader: &Reader, n_keys: usize) -> Result<()> {
    let options = RangeOptions { keys_only: true, skip_count: true, limit: 1_000, ..RangeOptions::default() };
    let from: Vec<_> = (0..1_000).map(|n| KeyRange::From(key(n * 7_368_787, n_keys))).collect();
    let start = Instant::now();
    let mut n_seen = 0;
    for range in &from {
        n_seen += black_box(reader.view().range(range, &options)?).rows.len();
    }
    let each = start.elapsed() / u32::try_from(n_seen)?;
    say(&format!("scan of 1000 keys, keys only: {each:?} for each key"))?;

    let options = RangeOptions { limit: usize::MAX, ..options };
    let start = Instant::now();
    let n_seen = black_box(reader.view().range(&KeyRange::all(), &options)?).rows.len();
    let each = start.elapsed() / u32::try_from(n_seen)?;
    say(&format!("scan of all keys, keys only: {each:?} for each key"))
}

fn count(reader: &Reader, what: &str, range: &KeyRange, at: Option<i64>) -> Result<()> {
    let options = RangeOptions { at, ..COUNT };
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || begin.elapsed() < Duration::from_secs(1) && times.len() < 10_000 {
        let start = Instant::now();
        black_box(reader.view().range(range, &options)?);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    say(&format!(
        "{what}: median {:?}, 99 % {:?}, worst {:?} ({} times)",
        at(50),
        at(99),
        at(100),
        times.len()
    ))
}
