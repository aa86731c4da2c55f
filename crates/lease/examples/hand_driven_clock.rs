//! A session that ends: a lease with two keys is kept alive once and then left alone. Time passes because we say so.
//!
//! `cargo run -p ferretcd-lease --example hand_driven_clock`

use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use ferretcd_backend::{Backend, Batch};
use ferretcd_base::LeaseId;
use ferretcd_lease::{Config, Deadlines, Leases};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backend = Backend::in_memory();
    let mut batch = Batch::default();
    let mut leases = Leases::open(&backend, Config { ttl_min: 2 })?;

    // A new leader counts down, beginning with the leases that there are.
    let start = Instant::now();
    let mut deadlines = Deadlines::new(start);
    deadlines.lead(start, Duration::ZERO, leases.reader().all());

    let session = LeaseId(7);
    let ttl = leases.grant(session, 10, &mut batch)?;
    deadlines.grant(session, ttl, start);
    leases.attach([(&b"/workers/a"[..], session), (b"/workers/b", session)]);
    backend.commit(&std::mem::take(&mut batch))?;

    for second in 0.. {
        let now = start + Duration::from_secs(second);
        if second == 6 {
            writeln!(stdout(), "{second:>2} s: kept alive, {:?}", deadlines.renew(session, now))?;
        }
        for lease in deadlines.expired(now, 100) {
            // Between these two an entry of the log would come; applying it deletes the keys.
            let keys = leases.keys(lease);
            leases.revoke(lease, &mut batch);
            deadlines.revoke(lease);
            writeln!(stdout(), "{second:>2} s: over, and with it {keys:?}")?;
            assert_eq!((second, keys.len()), (16, 2), "ten seconds after the renewal");
        }
        let Some(next) = deadlines.next() else { break };
        assert!(next > now, "nothing that is due is left");
    }
    backend.commit(&batch)?;
    assert_eq!(Leases::open(&backend, Config { ttl_min: 2 })?.reader().count(), 0);
    Ok(())
}
