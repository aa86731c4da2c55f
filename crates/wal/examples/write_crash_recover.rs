//! Writes a log, pulls the plug between a write and its sync, and looks at what is left.
//!
//! Run with `cargo run -p ferretcd-wal --example write_crash_recover`.

use std::error::Error;
use std::io::Write;

use ferretcd_wal::{Config, Entry, EntryKind, HardState, MemDir, Metadata, Wal};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let config = Config { segment_bytes: 64_000_000, unsafe_no_fsync: false };
    let entry =
        |index| Entry { term: 1, index, kind: EntryKind::Normal, data: format!("put {index}").into() };

    // A log on disk survives its process.
    let temp = tempfile::tempdir()?;
    let path = temp.path().join("wal");
    let mut wal = Wal::create(&path, Metadata { node_id: 1, cluster_id: 2 }, config)?;
    wal.append(&[entry(1), entry(2)], Some(HardState { term: 1, vote: 1, commit: 2 }))?;
    wal.sync()?;
    drop(wal);
    let (_, recovered) = Wal::open(&path, config)?;
    writeln!(out, "on disk: {} entries, {:?}", recovered.entries.len(), recovered.hard_state)?;

    // A simulated disk shows what a power failure leaves of a write that was not synced.
    let disk = MemDir::new();
    let mut wal = Wal::create_on(disk.clone(), Metadata { node_id: 1, cluster_id: 2 }, config)?;
    wal.append(&[entry(1)], None)?;
    wal.sync()?;
    wal.append(&[entry(2), entry(3)], None)?;
    for bytes in [0, 30, disk.n_unsynced()] {
        let (_, recovered) = Wal::open_on(disk.crash_after(bytes), config)?;
        writeln!(out, "{bytes} unsynced bytes survive: {} entries", recovered.entries.len())?;
    }
    Ok(())
}
