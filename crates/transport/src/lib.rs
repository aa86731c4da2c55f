//! Raft messages and snapshots between members, in etcd's peer protocol.
//!
//! Bytes on the wire are those of etcd 3.7, so that members of both kinds understand each other: HTTP/1.1, with
//! or without TLS, on the peer URLs.
//!
//! * [`PeerTransport`] is how a member reaches the others: messages on streams, snapshots, questions. It is an
//!   [`ferretcd_engine::Peers`].
//! * [`PeerServer`] answers what the others ask, on connections that somebody else has accepted.
//! * [`LocalMember`] is what both ask of the member they work for; [`Connect`] dials, with TLS or without.
//!
//! ```text
//!            this member                                         another member
//!  Peers::send ─► lane ─► answer to its GET /raft/stream/... ─────────► reader ─► LocalMember::receive
//!  LocalMember::receive ◄─ reader ◄───────── answer to our GET /raft/stream/... ◄─ lane ◄─ Peers::send
//! ```
//!
//! Who reads a stream dials it. There are two from each member to each other, so that heartbeats never wait behind
//! entries. What no stream takes is posted by itself; the state of a member has a request of its own.
//!
//! What it refuses to do: it retries nothing that may have been sent, keeps no message for a member that is away,
//! and knows of raft only which messages are large.
//!
//! Invariants:
//! * Messages on one stream arrive in order and at most once. Some may be lost, and then the member is told that
//!   the other was unreachable.
//! * Nobody who sends waits: queues have bounds, and what does not fit is dropped.
//! * Each message that announces a snapshot is reported once as sent or failed.
//! * Whatever bytes arrive, nothing panics, and memory grows with what has arrived, not with what is claimed.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use ferretcd_engine::Peers;
//! use ferretcd_transport::{Config, PeerServer, PeerTransport, TcpConnect};
//! use http::{Response, StatusCode};
//!
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! let config = Config {
//!     peer_urls: vec!["http://10.0.0.1:2380".to_owned()],
//!     connect: Arc::new(TcpConnect),
//!     dial_timeout: Duration::from_secs(2),
//!     call_timeout: Duration::from_secs(7),
//!     silence: Duration::from_secs(5),
//!     retry_pause: Duration::from_millis(100),
//!     snapshot_pause: Duration::from_secs(1),
//!     snapshot_timeout: Duration::from_secs(600),
//! };
//! let transport = PeerTransport::register(config, &prometheus::Registry::new(), runtime.handle())?;
//! // The member starts with it as its `Peers`, and is then given to it.
//! let peers: Arc<dyn Peers> = Arc::new(transport.clone());
//! assert_eq!(peers.active_since(ferretcd_base::MemberId(2)), None);
//!
//! let not_found = tower::service_fn(|_| async {
//!     let mut response = Response::new(String::new());
//!     *response.status_mut() = StatusCode::NOT_FOUND;
//!     Ok(response)
//! });
//! let server = PeerServer::new(transport.clone(), not_found);
//! // For each accepted connection: server.serve_connection(stream, stop).await
//! # drop(server);
//! transport.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod connect;
mod local_member;

mod codec;
mod convert;
mod error_texts;
mod headers;
mod wire_json;

mod client;
mod metrics;
mod response;
mod timeout_stream;

mod message_queue;
mod peer_status;
mod url_picker;

mod link;
mod local_context;

mod pipeline;
mod prober;
mod snapshot;
mod stream_reader;
mod stream_writer;

mod peer;
mod rpc;
mod server;
mod transport;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use connect::{BoxedIo, Connect, Dialing, Io, TcpConnect};
pub use local_member::{LocalMember, OutgoingSnapshot, PeerReport};
pub use response::{AnswerBody, AnswerData, BodyError};
pub use rpc::cluster_members;
pub use server::PeerServer;
pub use transport::PeerTransport;
