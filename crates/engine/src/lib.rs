//! One member of a cluster without a network face.
//!
//! The engine joins the halves. Below it everything is synchronous: the raft driver and its log on two
//! threads ([`raft_node`](ferretcd_raft_node)), the state machine on one, the state file's writer on one. Above it
//! requests are futures on a tokio runtime. It owns all of these threads and the queues between them:
//!
//! ```text
//!  put() ──encode──► raft driver ──► log thread ──► driver ──► apply thread ──► replies ──► put()
//!                                                                   │ rows, applied index
//!                                                                   ▼
//!                                                             state file writer
//! ```
//!
//! Watches have a thread beside these, which reads what the apply thread has made visible.
//!
//! * [`Engine`]: a cheap handle of a running member.
//! * [`Kv`], [`Watches`], [`Leases`], [`Cluster`], [`Maintenance`], [`Auth`]: its facets, each with the requests of one part of
//!   the API. Every request names its [`Caller`].
//! * [`MemberInfo`]: what the member knows about itself and its cluster.
//! * [`Peers`]: the network that connects the member with others, implemented elsewhere.
//! * [`Config`]: plain data; nothing here reads flags, files or the environment.
//!
//! Invariants: a response to a write leaves only after its entry is synced in the log; the state file never
//! holds effects of an entry without the position of that entry; log segments go only when the state file
//! durably holds what they hold.

mod auth;
mod caller;
mod config;
mod error;
mod member_info;
pub mod peers;

mod cluster;
mod kv;
mod lease;
mod long_response;
mod maintenance;
mod ranges;
mod watch;

mod budget;
mod channels;
mod conf_state;
mod engine;
mod facets;
mod flusher;
mod metrics;
mod parts;
mod proposer;
mod raft_host;
mod raft_transport;
mod read_index;
mod replies;
mod rewriter;
mod shared;
mod slow;
mod spawn;
mod threads;

mod apply;
mod controllers;
mod start;

pub use auth::{Auth, TokenConfig};
pub use budget::ResponseShare;
pub use caller::{Caller, Identity};
pub use cluster::{Cluster, RaftState, ReconfigureError};
pub use config::{AutoCompaction, Config, CorruptionChecks};
pub use engine::Engine;
pub use error::{DefragmentError, RequestError, StartError, explain};
pub use ferretcd_data_dir::{Bootstrap, Paths};
pub use ferretcd_raft_node::Role;
pub use kv::Kv;
pub use lease::{Leases, RenewedLeases};
pub use long_response::{KvResponse, LongResponse, RangeStream, Repeatable};
pub use maintenance::Maintenance;
pub use maintenance::downgrade::DowngradeError;
pub use maintenance::snapshot::{OutgoingSnapshot, SnapshotError};
pub use member_info::{MemberInfo, Status, Versions};
pub use peers::{
    NoPeers, PeerCall, PeerError, PeerFuture, PeerHash, PeerRequest, PeerResponse, PeerSnapshot,
    PeerVersions, Peers,
};
pub use watch::session::WatchSession;
pub use watch::watches::Watches;
