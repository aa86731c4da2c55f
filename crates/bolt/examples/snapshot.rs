//! Makes a snapshot of a member's database, or of another snapshot: the same rows without free pages, with a hash.
//! etcd must not be writing to the database.
//!
//! Run with `cargo run -p ferretcd-bolt --example snapshot -- default.etcd/member/snap/db new.snapshot`.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use ferretcd_bolt::{HashWriter, Plan, Reader, check_trailer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: snapshot <database or snapshot> <new snapshot>".into());
    };

    let mut out = io::stdout();
    let file = File::open(from)?;
    writeln!(out, "hash: {:?}", check_trailer(&file)?)?;
    let reader = Reader::open(file)?;
    for bucket in reader.buckets() {
        let bucket = bucket?;
        let (mut n_rows, mut n_bytes) = (0, 0);
        for row in bucket.rows() {
            let (key, value) = row?;
            n_rows += 1;
            n_bytes += key.len() + value.len();
        }
        writeln!(out, "{}: {n_rows} rows, {n_bytes} bytes", bucket.name().escape_ascii())?;
    }

    let plan = Plan::new(&reader)?;
    let mut snapshot = HashWriter::new(BufWriter::new(File::create(to)?));
    plan.write(&reader, &mut snapshot)?;
    let (mut snapshot, hash) = snapshot.finish();
    snapshot.write_all(&hash)?;
    snapshot.flush()?;
    writeln!(out, "{} bytes were {}", plan.size(), reader.size())?;
    Ok(())
}
