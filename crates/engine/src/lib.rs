//! One member of a cluster without a network face: propose, read, compact, report.
//!
//! The engine joins the halves. Below it everything is synchronous: the consensus driver and its log on two
//! threads ([`raft_node`]), the state machine on one, the state file's writer on one. Above it requests are
//! futures on a tokio runtime. It owns all of these threads and the queues between them:
//!
//! ```text
//!  put() ──encode──► raft-node driver ──► log thread ──► driver ──► apply thread ──► replies ──► put()
//!                                                                       │ rows, applied index
//!                                                                       ▼
//!                                                                 state file writer
//! ```
//!
//! Watches have a thread beside these, which reads what the apply thread has made visible.
//!
//! * [`Engine`]: a cheap handle; every request of the API that concerns the state is a method.
//! * [`WatchSession`]: a stream of watches and what they are told.
//! * [`Config`]: plain data; nothing here reads flags, files or the environment.
//! * [`Status`], [`Versions`]: what a probe or an operator wants to know.
//!
//! Invariants: an answer to a write leaves only after its entry is synced in the log; the state file never
//! holds effects of an entry without the position of that entry; log segments go only when the state file
//! durably holds what they hold.

mod apply_loop;
mod cluster;
mod compactor;
mod conf_state;
mod config;
mod corruption;
mod error;
mod flusher;
mod handle;
mod host;
mod ids;
mod inbox;
mod lease;
mod metrics;
pub mod peers;
mod quota;
mod quota_exceeded;
mod raft_transport;
mod read;
mod refetch;
mod replies;
mod shared;
mod snapshot;
mod start;
mod submit;
mod tasks;
mod waiters;
mod watch;

pub use self::watch::WatchSession;
pub use cluster::ReconfigureError;
pub use config::{AutoCompaction, Config};
pub use corruption::CorruptionChecks;
pub use error::{RequestError, StartError, explain};
pub use ferretcd_data_dir::{Bootstrap, Paths};
pub use handle::{Engine, Status};
pub use peers::{
    Alone, PeerCall, PeerError, PeerFuture, PeerHash, PeerRequest, PeerResponse, PeerSnapshot, PeerVersions,
    Peers,
};
pub use shared::Versions;
pub use snapshot::{OutgoingSnapshot, SnapshotError};
