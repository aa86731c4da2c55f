//! Measures what an append and its sync cost on a disk: one entry of 300 bytes, then 64 of them.
//!
//! Run with `cargo run --release -p ferretcd-wal --example sync_cost [directory]`.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use ferretcd_wal::{Config, Entry, EntryKind, HardState, Metadata, Wal};

const ROUNDS: u32 = 3000;

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let temp = tempfile::tempdir_in(parent)?;
    let config = Config { segment_bytes: 64_000_000, unsafe_no_fsync: false };
    let mut wal = Wal::create(&temp.path().join("wal"), Metadata::default(), config)?;
    let mut next = 1;
    for n_entries in [1, 64] {
        let (mut appending, mut syncing) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..ROUNDS {
            let entry = |index| Entry { term: 1, index, kind: EntryKind::Normal, data: vec![7; 300].into() };
            let entries: Vec<_> = (next..next + n_entries).map(entry).collect();
            let state = HardState { term: 1, vote: 1, commit: next - 1 };
            let start = Instant::now();
            wal.append(&entries, Some(state))?;
            let appended = Instant::now();
            wal.sync()?;
            appending += appended - start;
            syncing += appended.elapsed();
            next += n_entries;
        }
        let (append, sync) = (appending / ROUNDS, syncing / ROUNDS);
        writeln!(std::io::stdout(), "{n_entries:3} entries: append {append:?}, sync {sync:?}")?;
    }
    drop(wal);
    let start = Instant::now();
    let (_, recovered) = Wal::open(&temp.path().join("wal"), config)?;
    let n_entries = recovered.entries.len();
    writeln!(std::io::stdout(), "opening {n_entries} entries: {:?}", start.elapsed())?;
    Ok(())
}
