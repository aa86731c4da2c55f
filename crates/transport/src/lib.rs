//! Raft messages and snapshots between members, in etcd's peer protocol.
//!
//! Bytes on the wire are those of etcd 3.7, so that members of both kinds understand each other: HTTP/1.1, with
//! or without TLS, on the peer URLs.
//!
//! * [`PeerTransport`] connects a member with its peers: messages on streams, requests, snapshots. It implements
//!   [`ferretcd_engine::Peers`].
//! * [`PeerServer`] serves the requests of peers on connections that its caller has accepted.
//! * [`LocalMember`] is the member that both work for, [`ferretcd_engine::Engine`] in the program; [`Connect`] dials, with
//!   TLS or without.
//!
//! ```text
//!            local member                                                 peer
//!  Peers::send ─► queue ─► response to its GET /raft/stream/... ──────► reader ─► LocalMember::receive
//!  LocalMember::receive ◄─ reader ◄────── response to our GET /raft/stream/... ◄─ queue ◄─ Peers::send
//! ```
//!
//! The reader of a stream dials it. There are two streams from each member to each other, so that heartbeats never wait
//! behind entries. Messages that no stream takes are posted one by one; a snapshot has a request of its own.
//!
//! The transport never resends a message that may have arrived, keeps no messages for an unreachable peer, and knows of raft
//! only which messages are large.
//!
//! Invariants:
//! * Messages on one stream arrive in order and at most once. Some may be lost, and then the peer is reported as
//!   unreachable.
//! * A sender never waits: queues have bounds, and a message that does not fit is dropped.
//! * Each message that announces a snapshot is reported once as sent or failed.
//! * No received bytes cause a panic, and memory grows with the bytes received, not with the lengths they claim.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use ferretcd_engine::Peers;
//! use ferretcd_transport::{Config, PeerServer, PeerTransport, PlainConnect};
//! use http::{Response, StatusCode};
//!
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! let config = Config {
//!     peer_urls: vec!["http://10.0.0.1:2380".to_owned()],
//!     connect: Arc::new(PlainConnect::default()),
//!     dial_timeout: Duration::from_secs(2),
//!     call_timeout: Duration::from_secs(7),
//!     silence: Duration::from_secs(5),
//!     write_timeout: Duration::from_secs(5),
//!     retry_pause: Duration::from_millis(100),
//!     snapshot_pause: Duration::from_secs(1),
//!     snapshot_timeout: Duration::from_secs(600),
//! };
//! let transport = PeerTransport::register(config, &prometheus::Registry::new(), runtime.handle())?;
//! // The member starts with it as its `Peers`, and is then attached to it.
//! let peers: Arc<dyn Peers> = Arc::new(transport.clone());
//! assert_eq!(peers.active_since(ferretcd_base::MemberId(2)), None);
//!
//! let not_found = tower::service_fn(|_| async {
//!     let mut response = Response::new(String::new());
//!     *response.status_mut() = StatusCode::NOT_FOUND;
//!     Ok(response)
//! });
//! let server = PeerServer::new(transport.clone(), not_found);
//! // For each accepted connection: server.serve_connection(stream, remote, stop).await
//! # drop(server);
//! transport.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod connect;
mod local_member;
mod peer_uri;

mod codec;
mod convert;
mod error_texts;
mod headers;
mod wire_json;

mod client;
mod metrics;
mod rejection;
mod timeout_stream;

mod message_queue;
mod peer_status;
mod url_picker;

mod local_context;
mod peer;

mod before_start;
mod pipeline;
mod prober;
mod rpc;
mod snapshot;
mod stream_reader;
mod stream_writer;

mod peer_table;
mod peer_tasks;
mod transport;

mod response;
mod server;

#[cfg(test)]
mod tests;

pub use before_start::{MemberVersions, cluster_members, is_downgrading};
pub use client::BodyError;
pub use config::Config;
pub use connect::{BoxedIo, Connect, Dialing, Io, PlainConnect};
pub use local_member::{LocalMember, OutgoingSnapshot, PeerReport};
pub use peer_uri::socket_path;
pub use response::{ResponseBody, ResponseData};
pub use server::PeerServer;
pub use transport::PeerTransport;
