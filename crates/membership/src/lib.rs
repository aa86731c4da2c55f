//! Who belongs to a cluster: members with their URLs, ids, the cluster's version.
//!
//! A [`Membership`] is replicated state: it changes only by [`Change`]s that came out of the log, in log
//! order, and adds the rows of each change to the batch that also carries the applied index. It does not
//! know raft; who votes is told to the consensus core by whoever applies the change to both.
//!
//! * [`Member`]: one member as every other one sees it.
//! * [`Membership`]: the members now, those removed for ever, the cluster version.
//! * [`initial_member_id`], [`cluster_id`]: ids, derived as etcd derives them.
//!
//! Invariants: an id is never used twice, not even after its removal; rows are byte for byte etcd's.
//!
//! ```
//! use ferretcd_membership::{cluster_id, initial_member_id};
//!
//! let id = initial_member_id(&["http://localhost:2380".to_owned()], "etcd-cluster");
//! assert_eq!(id.to_string(), "8e9e05c52164694d");
//! assert_eq!(cluster_id(&[id]).to_string(), "cdf818194e3a8c32");
//! ```

mod conf_state;
mod id;
mod member;
mod store;

pub use id::{cluster_id, initial_member_id};
pub use member::Member;
pub use store::{Change, ChangeError, Membership, OpenError};
