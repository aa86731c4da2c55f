//! What the transport is configured with.

use std::sync::Arc;
use std::time::Duration;

use crate::Connect;

/// Plain data without hidden defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the others reach this member; told with each request.
    pub peer_urls: Vec<String>,
    /// What dials the others.
    pub connect: Arc<dyn Connect>,
    /// How long dialling may take; etcd waits 1 s and an election timeout.
    pub dial_timeout: Duration,
    /// How long a call to another member may take as a whole, and a message outside of a stream; etcd waits 5 s
    /// and two election timeouts.
    pub call_timeout: Duration,
    /// After how long without a byte a stream is given up; etcd's is 5 s. A stream without messages carries a
    /// sign of life each third of it.
    pub silence: Duration,
    /// The least time between two attempts to begin a stream; etcd's is 100 ms.
    pub retry_pause: Duration,
    /// How long it takes after a failure until a member is sent a state again. It doubles with each that follows, up to
    /// 32 times as much. etcd tries again at once.
    pub snapshot_pause: Duration,
    /// How long a member that has received a whole snapshot may take to store it.
    pub snapshot_timeout: Duration,
}
