//! The replicated state machine: one entry in, one outcome out, the same on every member.
//!
//! [`StateMachine`] owns the stores and is their only writer. It reads nothing but the entry and the stores:
//! no clock, no randomness, no file, no quota, because each member must come to the same result. What its
//! work leaves to be written goes into a [`ferretcd_backend::Batch`]; the caller commits it together with the
//! [`Applied`] position, whenever it likes, and after a crash applies again from that position.
//!
//! * [`Command`]: the request in an entry, with the id by which its proposer waits for the outcome.
//! * [`StateMachine`] → [`Outcome`]: applying it.
//! * [`snapshot`]: the whole state as a stream of bytes, its import as a state file, and the installation of that.
//! * [`range`], [`read_txn`]: the same reads outside the log, on a [`ferretcd_mvcc::ReadView`].
//!
//! Invariant: every error is found before the first change, so a rejected command leaves no trace but the
//! position.

mod alarm;
mod applied;
mod auth;
mod command;
mod encoded;
mod error;
mod hash;
mod kv;
mod leases;
mod machine;
mod old_request;
mod partial;
mod range;
mod range_plan;
mod source;
mod streamed;
mod top;
mod txn;

pub mod snapshot;

pub use alarm::Alarm;
pub use applied::Applied;
pub use auth::{AuthChange, AuthRequest, AuthResponse, SimpleToken, check_lease, check_txn};
pub use command::{Command, DecodeError, Kind, Request};
pub use encoded::Encoded;
pub use error::{ApplyError, Fault, OpenError};
pub use hash::backend_hash;
pub use kv::{put_cost, txn_cost};
pub use leases::GRANT_COST;
pub use machine::{Config, MemberChange, Outcome, Response, StateMachine};
pub use partial::{DeferredList, Lists, OpenLists, PartialResponse, WHOLE_BYTES_MAX};
pub use range::{ListedRows, OpenRange, range};
pub use range_plan::RangePlan;
pub use streamed::StreamedRange;
pub use txn::{is_read_only, read_txn};
