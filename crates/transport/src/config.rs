//! The configuration of the transport.

use std::sync::Arc;
use std::time::Duration;

use crate::connect::Connect;

/// Plain data without hidden defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The URLs of this member, which each request carries.
    pub peer_urls: Vec<String>,
    /// Dials the peers.
    pub connect: Arc<dyn Connect>,
    /// How long dialling may take; etcd waits 1 s and an election timeout.
    pub dial_timeout: Duration,
    /// How long a request to a peer may take as a whole, and a message outside of a stream; etcd waits 5 s and two election
    /// timeouts.
    pub call_timeout: Duration,
    /// A stream ends after this time without a byte; etcd's is 5 s. A stream without messages carries a heartbeat each third
    /// of it.
    pub silence: Duration,
    /// How long a write to a stream waits until the peer takes a byte; then the stream ends. etcd's is 5 s.
    pub write_timeout: Duration,
    /// The least time between two attempts to begin a stream; etcd's is 100 ms.
    pub retry_pause: Duration,
    /// The pause between a snapshot that failed and the next one to the same peer. It doubles with each further failure, up
    /// to 32 times as much. etcd tries again at once.
    pub snapshot_pause: Duration,
    /// How long a peer that has received a whole snapshot may take to store it.
    pub snapshot_timeout: Duration,
}
