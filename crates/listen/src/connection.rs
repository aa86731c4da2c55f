//! What a request knows of its connection, and can do to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use http::Extensions;

/// The connection of a request, among the request's extensions. Clones share it.
#[derive(Clone, Debug)]
pub struct Connection(Arc<State>);

#[derive(Debug)]
struct State {
    remote: SocketAddr,
    /// Calls that the connection may have something to send for.
    running: AtomicUsize,
    /// Whether the connection has ended, so that no response reaches its client.
    is_over: AtomicBool,
    /// Why the connection is to be closed. The first reason stays.
    closing: OnceLock<&'static str>,
    /// Wakes the task of the connection.
    task: Waker,
}

impl Connection {
    pub(crate) fn new(remote: SocketAddr, task: Waker) -> Self {
        let (running, is_over, closing) = (AtomicUsize::new(0), AtomicBool::new(false), OnceLock::new());
        Self(Arc::new(State { remote, running, is_over, closing, task }))
    }

    /// The address that the request came from.
    pub fn remote(extensions: &Extensions) -> Option<SocketAddr> {
        extensions.get::<Self>().map(|connection| connection.0.remote)
    }

    /// Counts a call whose response goes on after its head, until the returned value is dropped. While several calls
    /// are counted, the connection gathers their frames. Until its head a call is counted without this.
    pub fn begin_call(extensions: &Extensions) -> Option<RunningCall> {
        extensions.get::<Self>().map(Self::call)
    }

    /// What closes the connection of the request, with all of its calls. For a response whose client takes nothing of
    /// it: the HTTP/2 library does not poll such a response, so it cannot end itself.
    pub fn closer(extensions: &Extensions) -> Option<Closer> {
        extensions.get::<Self>().map(|connection| Closer(Arc::clone(&connection.0)))
    }

    pub(crate) fn call(&self) -> RunningCall {
        self.0.running.fetch_add(1, Ordering::Relaxed);
        RunningCall(Arc::clone(&self.0))
    }

    pub(crate) fn n_running(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Relaxed)
    }

    /// Has the connection be over when the returned value is dropped.
    pub(crate) fn end(&self) -> End {
        End(Arc::clone(&self.0))
    }

    /// Why the connection is to be closed, if it is. The task is woken when that changes.
    pub(crate) fn closing(&self) -> Option<&'static str> {
        self.0.closing.get().copied()
    }
}

/// A call whose response is not complete.
#[derive(Debug)]
pub struct RunningCall(Arc<State>);

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The end of a connection.
#[derive(Debug)]
pub(crate) struct End(Arc<State>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

/// Closes a connection. Clones close the same one.
#[derive(Clone, Debug)]
pub struct Closer(Arc<State>);

impl Closer {
    /// Has the task of the connection reset it, soon: its calls are dropped, and what is not sent is lost, also what
    /// the system still holds of it. The log gets one warning with the address of the client and the reason. Of several
    /// reasons the first counts. A connection that has ended stays as it is.
    pub fn close(&self, reason: &'static str) {
        let _ = self.0.closing.set(reason);
        self.0.task.wake_by_ref();
    }
}
