//! The members of a cluster with their URLs and ids, the cluster's version, and its downgrade.
//!
//! A [`Membership`] is replicated state: it changes only by [`Change`]s that came out of the log, in log
//! order, and adds the rows of each change to the batch that also carries the applied index. It does not
//! know raft; the caller applies each change to the consensus core as well.
//!
//! * [`Member`]: one member as every other one sees it.
//! * [`Membership`]: the members now, those removed for ever, the cluster version, the downgrade in progress.
//! * [`Change`]: one change, and its form in the log, which etcd reads and writes too.
//! * [`initial_member_id`], [`added_member_id`], [`cluster_id`]: ids, derived as etcd derives them.
//! * [`TooRisky`]: why a change had better not be proposed; [`decide_version`]: what the cluster can do.
//! * [`Url`]: where a member is reached; [`parse_initial_cluster`]: the founders and their URLs.
//!
//! Invariants: an id is never used twice, not even after its removal; there is always a voter; rows are byte for
//! byte etcd's, but for a field of our own while a member is joining.
//!
//! ```
//! use ferretcd_membership::{cluster_id, initial_member_id};
//!
//! let id = initial_member_id(&["http://localhost:2380".to_owned()], "etcd-cluster");
//! assert_eq!(id.to_string(), "8e9e05c52164694d");
//! assert_eq!(cluster_id(&[id]).to_string(), "cdf818194e3a8c32");
//! ```

mod change;
mod conf_state;
mod downgrade;
mod id;
mod initial_cluster;
mod member;
mod store;
mod strict;
mod url;
mod version;

pub use change::{Change, ChangeError};
pub use conf_state::conf_state_json;
pub use id::{added_member_id, cluster_id, initial_member_id};
pub use initial_cluster::{format_initial_cluster, parse_initial_cluster};
pub use member::Member;
pub use store::{Membership, OpenError};
pub use strict::{Contact, TooRisky};
pub use url::{Scheme, Url, UrlError};
pub use version::{DowngradeError, Version, VersionError, decide_version};
