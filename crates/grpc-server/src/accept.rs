//! Accepting connections and serving them until told to stop.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ferretcd_tls::{Accepted, PeerIdentity, ServerTls};
use http::{Extensions, Request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::authority::Corrected;
use crate::coalesce::{CoalescedStream, Flush, Turn};
use crate::stream::Stream;
use crate::turns::Turns;
use crate::{Config, Server};

/// Pause after the system has no descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What one stream may receive before the reader has taken it, in bytes.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The same for all streams of a connection. The HTTP/2 library derives from it how many small frames may wait,
/// and breaks the connection when there are more: it must be enough for a client that sends some thousand
/// requests on a watch stream without waiting for answers.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Bytes of one response that wait in the HTTP/2 library above which it asks for no more of it. Pieces are
/// taken whole, so only streams notice: what they leave unsent stays where it is shared.
const SEND_BUFFER_BYTES: usize = 16 << 10;

/// Calls of a connection that were given up before they were begun, at once. More looks like an attack.
const RESET_STREAMS_MAX: usize = 4096;

/// How far a shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// Nobody is accepted; running calls may finish.
    Draining,
    /// They had their time.
    Closing,
}

/// The connection that a request came on, put beside it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    remote: SocketAddr,
    /// Calls that the connection may have something to send for.
    running: Arc<AtomicUsize>,
}

impl Connection {
    /// Where the request came from.
    pub(crate) fn remote(extensions: &Extensions) -> Option<SocketAddr> {
        extensions.get::<Self>().map(|connection| connection.remote)
    }

    /// Counts a call whose response goes on after its head.
    pub(crate) fn begin_call(extensions: &Extensions) -> Option<Running> {
        extensions.get::<Self>().map(|connection| Running::new(&connection.running))
    }
}

/// A listener and what is served on it.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    server: Server,
    /// `None` for connections in the clear.
    tls: Option<ServerTls>,
}

impl Endpoint {
    /// Connections in the clear.
    pub fn plain(listener: TcpListener, server: Server) -> Self {
        Self { listener, server, tls: None }
    }

    /// TLS and nothing else. Requests have the [`PeerIdentity`] of their connection among their extensions, in an
    /// [`Arc`], if a certificate was asked for.
    pub fn encrypted(listener: TcpListener, server: &Server, tls: ServerTls) -> Self {
        Self { listener, server: server.encrypted(), tls: Some(tls) }
    }
}

impl From<(TcpListener, Server)> for Endpoint {
    fn from((listener, server): (TcpListener, Server)) -> Self {
        Self::plain(listener, server)
    }
}

/// Serves HTTP/1 and HTTP/2 on every listener, each with its server, until `shutdown` ends. Then it accepts nobody any more, tells
/// clients to go elsewhere and lets running calls finish, for as long as the configuration says.
pub async fn serve(endpoints: Vec<impl Into<Endpoint>>, shutdown: impl Future<Output = ()>) {
    let endpoints: Vec<Endpoint> = endpoints.into_iter().map(Into::into).collect();
    let (stage, watched) = watch::channel(Stage::Serving);
    // Every task holds a sender; when the last is gone the receiver knows.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let drain_timeout = endpoints.iter().map(|endpoint| endpoint.server.config().drain_timeout).max();
    let servers: Vec<Server> = endpoints.iter().map(|endpoint| endpoint.server.clone()).collect();
    for Endpoint { listener, server, tls } in endpoints {
        tokio::spawn(accept(server, tls, listener, watched.clone(), alive.clone()));
    }
    drop(alive);
    shutdown.await;
    servers.iter().for_each(Server::stop);
    stage.send_replace(Stage::Draining);
    if tokio::time::timeout(drain_timeout.unwrap_or_default(), all_gone.recv()).await.is_err() {
        tracing::warn!("clients still connected after the drain timeout; closing their connections");
        stage.send_replace(Stage::Closing);
        // Nothing is ever sent; this ends when the last connection has.
        let _ = all_gone.recv().await;
    }
}

async fn accept(
    server: Server,
    tls: Option<ServerTls>,
    listener: TcpListener,
    mut stage: watch::Receiver<Stage>,
    alive: mpsc::Sender<()>,
) {
    loop {
        let (stream, remote) = tokio::select! {
            accepted = next_connection(&listener) => accepted,
            _ = stage.wait_for(|stage| *stage >= Stage::Draining) => return,
        };
        let (server, tls, alive) = (server.clone(), tls.clone(), alive.clone());
        let (draining, mut closing) = (stage.clone(), stage.clone());
        tokio::spawn(async move {
            tokio::select! {
                ended = connection(server, tls, stream, remote, draining) => if let Err(error) = ended {
                    tracing::debug!(%remote, error, "connection ended");
                },
                _ = closing.wait_for(|stage| *stage == Stage::Closing) => {}
            }
            drop(alive);
        });
    }
}

/// The next connection of a listener. An error of the system is logged, and tried again after a pause. Dropping the
/// future loses no connection.
pub async fn next_connection(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // A client that is gone before it was accepted concerns nobody else.
            Err(error) if is_about_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A call that is not answered yet, or not to its end.
#[derive(Debug)]
pub(crate) struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(running: &Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(running))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(
    server: Server,
    tls: Option<ServerTls>,
    stream: TcpStream,
    remote: SocketAddr,
    mut stage: watch::Receiver<Stage>,
) -> Result<(), tonic::codegen::StdError> {
    stream.set_nodelay(true)?;
    let (stream, flush) = CoalescedStream::new(stream);
    let (stream, identity) = match &tls {
        None => (Stream::Plain(stream), None),
        Some(tls) => {
            let shaken = tokio::select! {
                shaken = shake_hands(tls, stream, &flush, remote) => shaken?,
                // It has not asked for anything yet.
                _ = stage.wait_for(|stage| *stage >= Stage::Draining) => return Ok(()),
            };
            let Some(Accepted { stream, identity }) = shaken else { return Ok(()) };
            (Stream::Encrypted(Box::new(stream)), identity)
        }
    };
    answer(&server, Guest { remote, identity }, stream, flush, stage).await
}

/// Does the handshake, below which the writes go into the same buffer as later. `None` if the connection was
/// rejected, which the log has been told.
async fn shake_hands(
    tls: &ServerTls,
    stream: CoalescedStream,
    flush: &Flush,
    remote: SocketAddr,
) -> Result<Option<Accepted<CoalescedStream>>, tonic::codegen::StdError> {
    let mut handshake = pin!(tls.accept(stream, remote));
    let turn = poll_fn(|cx| match flush.poll_turn(cx, |cx| handshake.as_mut().poll(cx)) {
        Turn::Pending => Poll::Pending,
        // What is unwritten is written with what follows; of an alert that nobody reads the rest is lost.
        Turn::Done(shaken) | Turn::Draining(shaken) => Poll::Ready(Ok(shaken)),
        Turn::Broken(error) => Poll::Ready(Err(error)),
    });
    match turn.await? {
        Ok(accepted) => Ok(Some(accepted)),
        Err(rejected) => {
            rejected.log();
            Ok(None)
        }
    }
}

/// Who a connection is from.
struct Guest {
    remote: SocketAddr,
    /// The names in its certificate, checked; `None` if it was asked for none.
    identity: Option<Arc<PeerIdentity>>,
}

/// Answers what is asked on a connection, until it is over.
async fn answer(
    server: &Server,
    guest: Guest,
    stream: Stream,
    flush: Flush,
    mut stage: watch::Receiver<Stage>,
) -> Result<(), tonic::codegen::StdError> {
    let http = http(server.config());
    let running = Arc::new(AtomicUsize::new(0));
    let service = service_fn(|mut request: Request<Incoming>| {
        let remote = guest.remote;
        request.extensions_mut().insert(Connection { remote, running: Arc::clone(&running) });
        if let Some(identity) = &guest.identity {
            request.extensions_mut().insert(Arc::clone(identity));
        }
        let (answer, call) = (server.answer(request), Running::new(&running));
        async move {
            let response = answer.await;
            drop(call);
            response
        }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(Corrected::new(stream)), service));
    let mut told = pin!(stage.wait_for(|stage| *stage >= Stage::Draining));
    let mut is_told = false;
    let turns = Turns::new();
    loop {
        let turn = {
            let mut cx = Context::from_waker(turns.waker());
            if !is_told && told.as_mut().poll(&mut cx).is_ready() {
                is_told = true;
                connection.as_mut().graceful_shutdown();
            }
            flush.poll_turn(&mut cx, |cx| connection.as_mut().poll(cx))
        };
        match turn {
            // A lone call has nobody to share its turn with.
            Turn::Pending => turns.next(running.load(Ordering::Relaxed) > 1).await,
            Turn::Done(result) => return result,
            Turn::Draining(result) => {
                poll_fn(|cx| flush.poll_rest(cx)).await?;
                return result;
            }
            Turn::Broken(error) => return Err(error.into()),
        }
    }
}

fn http(config: &Config) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new());
    http.http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_concurrent_streams(config.concurrent_streams_max)
        // Clients give up calls in bursts, for example when a request of many parts is cancelled.
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .keep_alive_interval(config.keepalive_interval)
        .keep_alive_timeout(config.keepalive_timeout);
    http
}
