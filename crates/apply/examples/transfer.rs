//! Sends a snapshot of so many keys to another member, through files, and prints how long each part takes.
//!
//! Run with `cargo run --release -p ferretcd-apply --example transfer -- 1000000`.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow::Continue;
use std::time::Instant;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::PutRequest;
use ferretcd_apply::{Applied, Command, Config, Request, StateMachine, snapshot};
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::LogPosition;

const STORES: Config = Config {
    mvcc: ferretcd_mvcc::Config { cache_bytes: 16 << 20 },
    lease: ferretcd_lease::Config { ttl_min: 2 },
};
const FILE: ferretcd_backend::Config = ferretcd_backend::Config { cache_bytes: 64 << 20 };

/// A state with `n_keys` keys.
fn fill(backend: &Backend, n_keys: u64) -> Result<Applied, Box<dyn Error>> {
    let mut batch = Batch::default();
    let mut machine = StateMachine::open(backend.clone(), &STORES, &mut batch)?;
    for index in 1..=n_keys {
        let key = format!("key/{:016x}", index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let put =
            PutRequest { key: key.into(), value: Bytes::from(vec![b'v'; 128]), ..PutRequest::default() };
        let request = Request::Put(put);
        let command = Command { id: index, username: String::new(), auth_revision: 0, request };
        machine.apply(LogPosition::new(index, 1), command.encode(), &mut batch)?.result?;
        if batch.bytes() > 16 << 20 || index == n_keys {
            machine.applied().store(&mut batch);
            backend.commit(&std::mem::take(&mut batch))?;
            machine.release(machine.revision());
        }
    }
    Ok(machine.applied().clone())
}

fn main() -> Result<(), Box<dyn Error>> {
    let n_keys = std::env::args().nth(1).map_or(Ok(10_000), |n| n.parse())?;
    let directory = tempfile::tempdir()?;
    let [state, body, coming] = ["state.redb", "body", "coming.redb"].map(|name| directory.path().join(name));
    let mut out = io::stdout();
    let mut started = Instant::now();
    let mut tell = |what: &str| {
        let took = std::mem::replace(&mut started, Instant::now()).elapsed();
        writeln!(out, "{what:<10} {took:>8.2?}")
    };

    let sender = Backend::open(&state, &FILE)?;
    let applied = fill(&sender, n_keys)?;
    tell("fill")?;
    let mut export = snapshot::export(sender.view())?;
    tell("lay out")?;
    let n_bytes = io::copy(&mut export, &mut File::create(&body)?)?;
    assert_eq!(n_bytes, export.len());
    tell("export")?;
    assert_eq!(snapshot::import(&body, &coming, |_| Continue(()))?, applied);
    tell("import")?;

    let backend = Backend::in_memory();
    let mut receiver = StateMachine::open(backend.clone(), &STORES, &mut Batch::default())?;
    let reader = receiver.reader();
    backend.replace(&coming, &FILE)?;
    receiver.restore(&backend)?;
    assert_eq!(reader.key_count() as u64, n_keys);
    tell("restore")?;
    writeln!(out, "{n_keys} keys, {n_bytes} bytes")?;
    Ok(())
}
