//! A map that remembers: every earlier state can be read until it is compacted.

use std::io::{Write, stdout};

use ferretcd_backend::{Backend, Batch};
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_mvcc::{Config, RangeOptions, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut store = Store::open(Backend::in_memory(), &Config { cache_bytes: 1 << 20 })?;
    let mut batch = Batch::default();

    // Two transactions, two revisions; the second one changes two keys at once.
    let mut txn = store.write(&mut batch);
    txn.put("color".into(), "blue".into(), LeaseId::NONE);
    let first = txn.commit().revision;

    let mut txn = store.write(&mut batch);
    txn.put("color".into(), "green".into(), LeaseId::NONE);
    txn.put("shape".into(), "round".into(), LeaseId::NONE);
    let second = txn.commit().revision;

    let view = store.reader().view();
    for revision in [first, second] {
        let options = RangeOptions { at: Some(revision), ..RangeOptions::default() };
        for row in view.range(&KeyRange::all(), &options)?.rows {
            let pair = row.key_value()?;
            let (key, value) = (String::from_utf8_lossy(&pair.key), String::from_utf8_lossy(&pair.value));
            writeln!(stdout(), "revision {revision}: {key} = {value} (version {})", row.version)?;
        }
    }

    store.compact(second, &mut batch)?;
    let options = RangeOptions { at: Some(first), ..RangeOptions::default() };
    if let Err(error) = view.range(&KeyRange::all(), &options) {
        writeln!(stdout(), "failed to {error}")?;
    }
    Ok(())
}
