//! The rules that must hold in every run, and their checks.
//!
//! *Consensus.* Every member hands out the same log: the first one to apply an entry defines it in [`Truth`], all others
//! are compared, also after restarts. A term has one leader.
//!
//! *State.* [`Model`], a store as simple as can be, computes the outcome of each entry. It is compared with that of each
//! member: revision and response at each entry, hashes, members and leases now and then.
//!
//! *Clients.* That the requests are linearizable could be hard to decide, if there were nothing but their replies. But
//! etcd numbers all changes: every reply contains the revision that it is true for. So one order is given, by
//! revision, reads behind the change that made theirs, and only two things are left to check, each at a cost that is
//! linear. The order explains every reply: those of changes are the model's at their place in the log, those of reads
//! are the model's state at their revision. And the order agrees with time: a request that began after another
//! one had its reply has no lower revision, and a higher one if it changed something. An order with both properties
//! is what linearizable means, so a history that is linearizable only by another order is a violation; etcd promises
//! this one. Requests without a reply may appear in the log once or not at all, and not before they began.
//! [`Operations`] records and checks them.
//!
//! *Leases.* None ends before the time that was promised last, see [`Promises`].
//!
//! *Watches.* [`ferretcd_testkit::watch_history`].

mod leases;
mod model;
mod operations;
mod truth;
mod violation;

pub(crate) use leases::Promises;
pub(crate) use model::{LEASE_TTL_MIN, Model};
pub(crate) use operations::{Call, OpId, Operations, Reply};
pub(crate) use truth::{Outcome, Truth};
pub use violation::Violation;
