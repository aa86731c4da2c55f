//! Leases: grants with a time to live, and the keys attached to them.
//!
//! Two halves with one owner each, because they change for different reasons:
//!
//! * [`Leases`] is replicated state: which leases there are, what was granted, which keys are attached. It
//!   changes only by what came out of the log and is the same on every member. [`LeaseReader`] looks at it
//!   from any thread.
//! * [`Deadlines`] is the leader's own: when each lease ends. It gets the time with each call, lives in
//!   memory only, and is built anew by each new leader.
//!
//! ```text
//!   log ──grant, revoke, checkpoint──► Leases ──► rows of bucket `lease`
//!                                        │ begin to lead
//!   keep-alive ──renew──►  Deadlines ◄───┘
//!                              └──expired──► proposals to revoke ──► log
//! ```
//!
//! What always holds:
//!
//! * A key is attached to at most one lease, the one of its last put.
//! * A lease is never reported as expired before its time to live is over, counted from the last renewal.
//! * Nothing ends by itself: an expired lease and its keys stay until a revoke comes out of the log.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use ferretcd_base::LeaseId;
//! use ferretcd_lease::{Deadlines, Renewal};
//!
//! let start = Instant::now();
//! let after = |seconds| start + Duration::from_secs(seconds);
//! let mut deadlines = Deadlines::new(start);
//! deadlines.lead(start, Duration::ZERO, []);
//! deadlines.grant(LeaseId(7), 10, start);
//!
//! assert_eq!(deadlines.expired(after(9), 100), []);
//! assert_eq!(deadlines.renew(LeaseId(7), after(9)), Renewal::Renewed { ttl: 10, was_checkpointed: false });
//! assert_eq!(deadlines.expired(after(18), 100), []);
//! assert_eq!(deadlines.expired(after(19), 100), [LeaseId(7)]);
//! assert_eq!(deadlines.renew(LeaseId(7), after(19)), Renewal::Expired);
//! ```

mod deadlines;
mod error;
mod leases;
mod reader;

pub use deadlines::{Deadlines, Renewal};
pub use error::{GrantError, OpenError};
pub use leases::{Config, Leases, TTL_MAX};
pub use reader::{Lease, LeaseReader};
