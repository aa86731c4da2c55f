//! The cost of the store with many keys: time of its operations, and memory.
//!
//! `cargo run --release -p ferretcd-mvcc --example measure FOLDER N_KEYS` twice: the first run fills a new
//! file in that folder, the next one opens it in a fresh process.

mod common;

use std::hint::black_box;
use std::ops::Bound;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_mvcc::{Config, RangeOptions, Scrub, Store};

use self::common::{Result, resident_bytes, say};

const CACHE_BYTES: usize = 64 << 20;
const VALUE_BYTES: usize = 256;
const COMMIT_BYTES: usize = 16 << 20;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "give a folder and a number of keys";
    let path = Path::new(&arguments.next().ok_or(usage)?).join("measure.db");
    let n_keys = arguments.next().ok_or(usage)?.parse()?;
    if !path.exists() {
        return fill(&path, n_keys);
    }
    let backend = open_backend(&path)?;
    let start = Instant::now();
    let n_rows = backend.view().range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded))?.count();
    report("scan of the file alone", start.elapsed(), 1)?;
    let before = resident_bytes()?;
    let start = Instant::now();
    let mut store = Store::open(backend.clone(), &Config { cache_bytes: CACHE_BYTES })?;
    report("open", start.elapsed(), 1)?;
    let after = resident_bytes()?;
    let per_key = after.saturating_sub(before) / n_keys;
    say(&format!("memory: {} MB resident; {n_rows} rows, {per_key} bytes for each key", after >> 20))?;
    reads(&store, n_keys)?;
    updates(&backend, &mut store, n_keys)?;
    compaction(&backend, &mut store)?;
    say(&format!("memory: {} MB resident in the end", resident_bytes()? >> 20))
}

fn open_backend(path: &Path) -> Result<Backend> {
    Ok(Backend::open(path, &ferretcd_backend::Config { cache_bytes: 32 << 20 })?)
}

/// Keys of 20 bytes in an order that isn't that of their creation.
fn key(n: usize, n_keys: usize) -> Bytes {
    format!("registry/{:011}", n.wrapping_mul(7_368_787) % n_keys).into()
}

/// Puts in transactions of one, timed without the commits of the backend.
fn puts(
    backend: &Backend,
    store: &mut Store,
    what: &str,
    keys: impl ExactSizeIterator<Item = Bytes>,
) -> Result<()> {
    let n = keys.len();
    let value = Bytes::from(vec![b'v'; VALUE_BYTES]);
    let (mut batch, mut busy) = (Batch::default(), Duration::ZERO);
    let mut start = Instant::now();
    for key in keys {
        let mut txn = store.write(&mut batch);
        txn.put(key, value.clone(), LeaseId::NONE);
        black_box(txn.commit());
        if batch.bytes() > COMMIT_BYTES {
            busy += start.elapsed();
            flush(backend, store, &mut batch)?;
            start = Instant::now();
        }
    }
    busy += start.elapsed();
    flush(backend, store, &mut batch)?;
    report(what, busy, n)
}

fn flush(backend: &Backend, store: &mut Store, batch: &mut Batch) -> Result<()> {
    backend.commit(&std::mem::take(batch))?;
    store.release(store.revision());
    Ok(())
}

fn fill(path: &Path, n_keys: usize) -> Result<()> {
    let backend = open_backend(path)?;
    let mut store = Store::open(backend.clone(), &Config { cache_bytes: CACHE_BYTES })?;
    puts(&backend, &mut store, "put of a new key", (0..n_keys).map(|n| key(n, n_keys)))
}

fn updates(backend: &Backend, store: &mut Store, n_keys: usize) -> Result<()> {
    puts(backend, store, "put of an existing key", (0..n_keys / 5).map(|n| key(n * 31, n_keys)))?;
    puts(backend, store, "put of one of 100 keys", (0..n_keys / 5).map(|n| key(n % 100, n_keys)))
}

fn reads(store: &Store, n_keys: usize) -> Result<()> {
    let reader = store.reader();
    let get = |what: &str, keys: Vec<Bytes>| {
        let ranges: Vec<_> = keys.into_iter().map(KeyRange::Key).collect();
        let start = Instant::now();
        for range in &ranges {
            black_box(reader.view().range(range, &RangeOptions::default())?);
        }
        report(what, start.elapsed(), ranges.len())
    };
    get("point read, one hot key", vec![key(1, n_keys); 100_000])?;
    let scattered = || (0..20_000).map(|n| key(n * 37, n_keys)).collect();
    get("point read, 20000 cold keys", scattered())?;
    get("point read, the same again", scattered())?;

    let list = |what: &str, options: RangeOptions, n: usize| {
        let from = KeyRange::From(format!("registry/{:011}", n_keys / 2).into());
        let start = Instant::now();
        for _ in 0..n {
            black_box(reader.view().range(&from, &options)?);
        }
        report(what, start.elapsed(), n)
    };
    let options = RangeOptions { limit: 1_000, skip_count: true, ..RangeOptions::default() };
    list("list of 1000 rows, cold", options, 1)?;
    list("list of 1000 rows, hot", options, 200)?;
    list("list of 1000 keys only", RangeOptions { keys_only: true, ..options }, 200)?;
    list("count of half of all keys", RangeOptions { count_only: true, ..RangeOptions::default() }, 3)
}

fn compaction(backend: &Backend, store: &mut Store) -> Result<()> {
    let start = Instant::now();
    let hash = store.reader().hash_kv(0)?;
    report("hash of the whole history", start.elapsed(), 1)?;
    let mut batch = Batch::default();
    store.compact(hash.current_revision, &mut batch)?;
    flush(backend, store, &mut batch)?;
    let (mut busy, mut n_steps) = (Duration::ZERO, 0);
    loop {
        let start = Instant::now();
        let scrub = store.scrub(1_000, &mut batch)?;
        busy += start.elapsed();
        n_steps += 1;
        if n_steps % 50 == 0 {
            flush(backend, store, &mut batch)?;
        }
        if let Scrub::Finished { .. } = scrub {
            flush(backend, store, &mut batch)?;
            return report("step of 1000 rows of a compaction", busy, n_steps);
        }
    }
}

fn report(what: &str, time: Duration, n: usize) -> Result<()> {
    say(&format!("{what}: {:?} ({n} times)", time / u32::try_from(n)?))
}
