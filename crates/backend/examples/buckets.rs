//! Rows and the index up to which they were applied, committed together, in a file that survives the
//! process. Run it twice: the second run goes on where the first one ended.

use std::io::Write;
use std::ops::Bound;

use ferretcd_backend::{Backend, Batch, Bucket, Config};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join("ferretcd-backend-example.db");
    let backend = Backend::open(&path, &Config { cache_bytes: 1 << 20 })?;
    let applied = match backend.view().get(Bucket::Meta, b"applied")? {
        Some(row) => u64::from_be_bytes(row[..].try_into()?),
        None => 0,
    };

    // Either both rows are there after a crash, or neither.
    let mut batch = Batch::default();
    batch.put(Bucket::Key, format!("run-{}", applied + 1), "done");
    batch.put(Bucket::Meta, "applied", (applied + 1).to_be_bytes().to_vec());
    let before = backend.view();
    backend.commit(&batch)?;

    let mut out = std::io::stdout();
    for row in backend.view().range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded))?.rev() {
        let (key, value) = row?;
        let is_new = before.get(Bucket::Key, &key)?.is_none();
        writeln!(out, "{key:?} = {value:?}{}", if is_new { ", new" } else { "" })?;
    }
    writeln!(out, "{:?} in {}", backend.size(), path.display())?;
    Ok(())
}
