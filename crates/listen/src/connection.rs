//! What a request knows of its connection, and can do to it.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use http::Extensions;
use parking_lot::Mutex;

/// What comes behind HTTP on a connection.
pub(crate) struct Upgraded(Pin<Box<dyn Future<Output = ()> + Send>>);

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").finish_non_exhaustive()
    }
}

impl Future for Upgraded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

/// The connection of a request, among the request's extensions. Clones share it.
#[derive(Clone, Debug)]
pub struct Connection(Arc<State>);

#[derive(Debug)]
struct State {
    remote: Option<SocketAddr>,
    server: Option<SocketAddr>,
    is_local: bool,
    /// Calls that the connection may have something to send for.
    running: AtomicUsize,
    /// Calls that are not over: their responses are under way or to come.
    open: AtomicUsize,
    /// Whether the connection has ended, so that no response reaches its client.
    is_over: AtomicBool,
    /// What is done with the connection when HTTP is over.
    upgraded: Mutex<Option<Upgraded>>,
    /// Why the connection is to be closed. The first reason stays.
    closing: OnceLock<&'static str>,
    /// Wakes the task of the connection.
    task: Waker,
}

impl Connection {
    pub(crate) fn new(
        remote: Option<SocketAddr>,
        server: Option<SocketAddr>,
        is_local: bool,
        task: Waker,
    ) -> Self {
        Self(Arc::new(State {
            remote,
            server,
            is_local,
            running: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            upgraded: Mutex::new(None),
            closing: OnceLock::new(),
            task,
        }))
    }

    /// The address that the request came from; `None` over a Unix socket.
    pub fn remote(extensions: &Extensions) -> Option<SocketAddr> {
        extensions.get::<Self>()?.0.remote
    }

    /// The address that the request came to; `None` over a Unix socket.
    pub fn server(extensions: &Extensions) -> Option<SocketAddr> {
        extensions.get::<Self>()?.0.server
    }

    /// Whether the request came from this machine, and to an address that no other machine can reach: over a Unix socket, or
    /// between loopback addresses.
    pub fn is_local(extensions: &Extensions) -> bool {
        extensions.get::<Self>().is_some_and(|connection| connection.0.is_local)
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

    /// Counts a call until the returned value is dropped with the end of the response.
    pub(crate) fn open_call(&self) -> OpenCall {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        OpenCall(Arc::clone(&self.0))
    }

    /// Whether a call is not over.
    pub(crate) fn has_call(&self) -> bool {
        self.0.open.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Relaxed)
    }

    /// Goes on with the connection of the request in another protocol: `protocol` runs in the connection's task once the
    /// response, with status 101, is sent. Over HTTP/1 alone. It is dropped with the connection.
    pub fn upgrade(extensions: &Extensions, protocol: impl Future<Output = ()> + Send + 'static) {
        if let Some(connection) = extensions.get::<Self>() {
            *connection.0.upgraded.lock() = Some(Upgraded(Box::pin(protocol)));
        }
    }

    /// What [`Self::upgrade`] was given.
    pub(crate) fn take_upgraded(&self) -> Option<Upgraded> {
        self.0.upgraded.lock().take()
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

/// A call that is not over.
#[derive(Debug)]
pub(crate) struct OpenCall(Arc<State>);

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The end of a connection.
#[derive(Debug)]
pub(crate) struct End(Arc<State>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
        // It knows the connection in turn.
        drop(self.0.upgraded.lock().take());
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
