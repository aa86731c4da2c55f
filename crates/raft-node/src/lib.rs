//! One member's part in the raft protocol: it orders proposals into a log that a quorum keeps, and hands out
//! what is committed.
//!
//! * [`Node`] runs the protocol on two threads, a driver and one for the log on disk; the rest of the member calls
//!   its [`NodeHandle`], it calls the member's [`Host`], and messages to peers go to [`Transport`].
//! * [`Core`] is the part that decides: [`Event`]s in, [`Effects`] out, without threads, clocks or disks, so
//!   that whole clusters can be run from a seed.
//! * A [`Committed`] entry is the result; a [`ReadToken`] stands for a linearizable read.
//!
//! It does not look into proposals, applies nothing, knows of the state only its place in the log, and knows neither
//! tokio nor the clock beyond its tick. The raft library (raft-rs, the port of etcd's own) is named in no signature.
//!
//! Invariants:
//! * Entries are handed out in log order, each once, and only when they are committed and durable here.
//! * The member that applies a committed configuration change decides whether it is possible. The change is in force
//!   before its entry counts as applied.
//! * No message that promises something about the log or a vote leaves before that is durable; see the `outbox`
//!   module for the rule and its one short cut.
//! * One thread writes the log on disk, in one order; after a failed write or sync the node stops.
//! * A token is reported as dropped only if its proposal is in no log.
//!
//! ```
//! use std::time::Duration;
//!
//! use ferretcd_base::MemberId;
//! use ferretcd_raft_node::{Applied, Config, Core, Event, Payload, Proposal};
//! use ferretcd_wal::{ConfState, Entry, EntryKind, HardState, Metadata, Recovered, SnapshotMark};
//!
//! let config = Config {
//!     id: MemberId(1),
//!     heartbeat: Duration::from_millis(100),
//!     election_ticks: 10,
//!     pre_vote: true,
//!     check_quorum: true,
//!     max_size_per_msg: 1 << 20,
//!     max_inflight_msgs: 256,
//!     catchup_entries: 5000,
//!     catchup_bytes: 256 << 20,
//!     unapplied_max: 5000,
//!     inbox: 4096,
//!     proposal_ticks: 70,
//!     advance_ticks: true,
//! };
//! // A log whose first entry is in the state, as is the configuration that it made.
//! let first = Entry { term: 1, index: 1, kind: EntryKind::Normal, data: "x".into() };
//! let recovered = Recovered {
//!     metadata: Metadata { node_id: 1, cluster_id: 1 },
//!     snapshot: SnapshotMark::default(),
//!     hard_state: HardState { term: 1, vote: 0, commit: 1 },
//!     entries: vec![first],
//! };
//! let conf_state = ConfState { voters: vec![1], ..ConfState::default() };
//! let mut core = Core::new(config, recovered, &Applied { index: 1, conf_state }, 42)?;
//!
//! // The sole voter makes itself leader; its term and first entry have to be synced.
//! let step = core.take_effects().persist.pop().expect("a new leader appends an entry");
//! core.handle(Event::Propose(vec![Proposal::new(7, "hello")]));
//! core.handle(Event::Persisted(step.number));
//! let effects = core.take_effects();
//! assert_eq!(effects.committed[0].payload, Payload::Empty);
//!
//! // The proposal is committed when it is durable, not before.
//! let number = effects.persist.iter().map(|step| step.number).max().expect("the proposal is to be written");
//! core.handle(Event::Persisted(number));
//! assert_eq!(core.take_effects().committed[0].payload, Payload::Normal("hello".into()));
//! # Ok::<(), ferretcd_raft_node::Error>(())
//! ```

mod conf_change;
mod config;
mod error;
mod force_new_cluster;
mod host;
mod message;
mod wire;

mod core;
mod event;
mod jitter;
mod logger;
mod memory_log;
mod outbox;
mod read_index;
mod read_rounds;
mod recover;
mod split;
mod translate;

mod driver;
mod handle;
mod inbox;
mod log_thread;
mod node;
mod timeline;

pub use conf_change::{ConfChange, ConfChangeKind};
pub use config::Config;
pub use core::Core;
pub use error::{Error, Rejected};
pub use event::{Effects, Event, Persist, Proposal};
pub use force_new_cluster::force_new_cluster;
pub use handle::NodeHandle;
pub use host::{
    Applied, Committed, Host, NoPeers, Payload, Persisted, Progress, ReadToken, Role, Status, Transport,
};
pub use message::Message;
pub use node::{Node, bootstrap, founding_entries};
pub use read_index::ReadIndexRole;
pub use read_rounds::{ReadRounds, Released};
pub use timeline::Passage;
pub use wire::MessageError;
