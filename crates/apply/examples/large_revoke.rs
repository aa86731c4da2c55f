//! The cost of ending one lease with very many keys, and many leases with one key each.
//!
//! `cargo run --release -p ferretcd-apply --example large_revoke [N_KEYS]`

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{LeaseGrantRequest, LeaseRevokeRequest, PutRequest};
use ferretcd_apply::{Command, Config, Request, StateMachine};
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::LogPosition;

const CONFIG: Config = Config {
    mvcc: ferretcd_mvcc::Config { cache_bytes: 64 << 20 },
    lease: ferretcd_lease::Config { ttl_min: 2 },
};
const ROUNDS: i64 = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let n_keys = std::env::args().nth(1).map_or(Ok(100_000), |n| n.parse())?;
    let backend = Backend::in_memory();
    let machine = StateMachine::open(backend.clone(), &CONFIG, &mut Batch::default())?;
    let mut member = Member { machine, backend, batch: Batch::default(), index: 0 };
    for _ in 0..n_keys {
        member.put("other", member.index, 0)?;
    }
    for lease in 1..=ROUNDS {
        member.grant(lease)?;
        for key in 0..n_keys {
            member.put("lease", key as u64, lease)?;
        }
        let took = member.apply(Request::LeaseRevoke(LeaseRevokeRequest { id: lease }))?;
        writeln!(std::io::stdout(), "one lease with {n_keys} keys: {took:?}")?;
    }
    let ids = 1_000..1_000 + n_keys as i64;
    for id in ids.clone() {
        member.grant(id)?;
        member.put("lease", id as u64, id)?;
    }
    let mut times = Vec::new();
    for id in ids {
        times.push(member.apply(Request::LeaseRevoke(LeaseRevokeRequest { id }))?);
    }
    let total: Duration = times.iter().sum();
    let (mean, longest) = (total / times.len() as u32, times.iter().max().ok_or("no leases")?);
    writeln!(std::io::stdout(), "a lease with one key: {mean:?}, at most {longest:?}")?;
    Ok(())
}

struct Member {
    machine: StateMachine,
    backend: Backend,
    batch: Batch,
    index: u64,
}

impl Member {
    /// Applies a request and returns the processor's time that it took, without the commit of the rows.
    fn apply(&mut self, request: Request) -> Result<Duration, Box<dyn Error>> {
        self.index += 1;
        let command = Command { id: self.index, username: String::new(), auth_revision: 0, request }.encode();
        let before = processor_time()?;
        let outcome = self.machine.apply(LogPosition::new(self.index, 1), command, &mut self.batch)?;
        let took = processor_time()? - before;
        outcome.result?;
        if self.batch.len() > 10_000 {
            self.backend.commit(&std::mem::take(&mut self.batch))?;
            self.machine.release(outcome.revision);
        }
        Ok(took)
    }

    fn grant(&mut self, id: i64) -> Result<(), Box<dyn Error>> {
        self.apply(Request::LeaseGrant(LeaseGrantRequest { id, ttl: 3600 })).map(drop)
    }

    fn put(&mut self, prefix: &str, number: u64, lease: i64) -> Result<(), Box<dyn Error>> {
        let key = format!("{prefix}/{number:012}").into();
        let put = PutRequest { key, value: vec![b'v'; 256].into(), lease, ..PutRequest::default() };
        self.apply(Request::Put(put)).map(drop)
    }
}

/// Of this thread, whatever else the machine does.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = times.split(' ').next().ok_or("no time")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}
