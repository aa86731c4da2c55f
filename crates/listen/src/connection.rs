//! What a request knows of its connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Extensions;

/// The connection of a request, among the request's extensions.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) remote: SocketAddr,
    /// Calls that the connection may have something to send for.
    pub(crate) running: Arc<AtomicUsize>,
}

impl Connection {
    /// The address that the request came from.
    pub fn remote(extensions: &Extensions) -> Option<SocketAddr> {
        extensions.get::<Self>().map(|connection| connection.remote)
    }

    /// Counts a call whose response goes on after its head, until the returned value is dropped. While several calls
    /// are counted, the connection gathers their frames. Until its head a call is counted without this.
    pub fn begin_call(extensions: &Extensions) -> Option<RunningCall> {
        extensions.get::<Self>().map(|connection| RunningCall::new(&connection.running))
    }
}

/// A call whose response is not complete.
#[derive(Debug)]
pub struct RunningCall(Arc<AtomicUsize>);

impl RunningCall {
    pub(crate) fn new(running: &Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(running))
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
