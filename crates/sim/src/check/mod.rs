//! What must hold in every run, and who says so.
//!
//! *Consensus.* Every member hands out the same log: the first one to apply an entry defines it in [`Truth`], all others
//! are compared, also after restarts. A term has one leader.
//!
//! *State.* What an entry does is foretold by [`Model`], a store as simple as can be, and compared with what each member
//! makes of it: revision and answer at each entry, hashes, members and leases now and then.
//!
//! *Clients.* That the requests are linearizable could be hard to decide, if there were nothing but their answers. But
//! etcd numbers all changes: every answer tells the revision that it is true for. So one order is given, by
//! revision, reads behind the change that made theirs, and only two things are left to check, each at a cost that is
//! linear. The order explains every answer: those of changes are the model's at their place in the log, those of reads
//! are the model's state at their revision. And the order agrees with time: a request that began after another
//! one had its answer has no lower revision, and a higher one if it changed something. An order with both properties
//! is what linearizable means, so nothing that is linearizable by another order only is let pass; etcd promises
//! this one. Requests without an answer may appear in the log once or not at all, and not before they began.
//! [`Operations`] keeps the book.
//!
//! *Leases.* None ends before the time that was promised last, see [`Promises`].
//!
//! *Watches.* [`crate::watch_history`].

mod leases;
mod model;
mod operations;
mod truth;
mod violation;

pub(crate) use leases::Promises;
pub(crate) use model::{LEASE_TTL_MIN, Model};
pub(crate) use operations::{Answer, Call, OpId, Operations};
pub(crate) use truth::{Outcome, Truth};
pub use violation::Violation;
