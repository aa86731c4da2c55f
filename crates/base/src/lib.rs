//! Words that two or more ferretcd crates share, as types that keep their own rules.
//!
//! Nothing here does I/O, looks at a clock or knows what a store is. A type belongs here only when at
//! least two stores need it; everything else stays with its owner.
//!
//! * [`Revision`]: a position in the history of the key space, with its 17-byte form on disk.
//! * [`KeyRange`]: a set of keys in etcd's `key`/`range_end` convention, resolved once at the edge.
//! * [`LogPosition`]: the place of an entry in the replicated log.
//! * [`Utc`]: a time as lines of the log have it.
//! * [`Threshold`]: a duration that can be set while others go by it.
//! * [`MemberId`], [`ClusterId`], [`LeaseId`]: numbers that must not be swapped by mistake.
//!
//! ```
//! use ferretcd_base::{KeyRange, Revision};
//!
//! let range = KeyRange::from_wire("a".into(), "c".into());
//! assert!(range.contains(b"b") && !range.contains(b"c"));
//! assert!(Revision::new(2, 1) > Revision::new(2, 0));
//! ```

mod id;
mod key_range;
mod log_position;
mod revision;
mod threshold;
mod utc;

pub use id::{ClusterId, LeaseId, MemberId};
pub use key_range::{Bounds, KeyRange};
pub use log_position::LogPosition;
pub use revision::{ParseRevisionError, Revision};
pub use threshold::Threshold;
pub use utc::Utc;
