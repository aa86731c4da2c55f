//! Serving listeners until they drain.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use ferretcd_tls::{Remote, ServerTls};
use http::{Request, Response};
use http_body::Body;
use hyper::body;
use tokio::sync::{mpsc, watch};
use tower::Service;

use crate::accept::{Accepted, Incoming, Listener};
use crate::call_budget::Backlog;
use crate::http::Http;
use crate::socket::Socket;
use crate::{BoxError, Config, Drain};

/// A listener and the services of its requests.
///
/// They get requests with a [`Connection`](crate::Connection) among their extensions. Requests that came over TLS with a
/// client's certificate have its [`PeerIdentity`](ferretcd_tls::PeerIdentity) there as well, in an
/// [`Arc`](std::sync::Arc).
#[derive(Debug)]
pub struct Endpoint<S> {
    /// Accepts the connections.
    pub listener: Listener,
    /// For connections in the clear.
    pub plain: S,
    /// For connections with TLS.
    pub encrypted: S,
    /// Whether [`Config::ping_interval_min`] holds above TLS as well.
    pub limits_pings_over_tls: bool,
}

impl<S: Clone> Endpoint<S> {
    /// One service for both kinds of connections.
    pub fn new(listener: Listener, service: S) -> Self {
        Self { listener, plain: service.clone(), encrypted: service, limits_pings_over_tls: true }
    }
}

/// Serves HTTP/1 and HTTP/2 on every listener, each with its service, until `drain` begins. Then it accepts no
/// connection, sends GOAWAY to clients and lets running calls finish, for as long as the configuration says, or until
/// [`Drain::close`].
pub async fn serve<S, B>(endpoints: Vec<Endpoint<S>>, config: Config, drain: Drain)
where
    S: Service<Request<body::Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let drain_timeout = config.drain_timeout;
    let (port, backlog) = (Port::new(drain.clone()), Backlog::default());
    for Endpoint { listener, plain, encrypted, limits_pings_over_tls } in endpoints {
        let http = |service, limits_pings| Http {
            service,
            config: config.clone(),
            drain: drain.clone(),
            backlog: backlog.clone(),
            limits_pings,
        };
        let (plain, encrypted) = (http(plain, true), http(encrypted, limits_pings_over_tls));
        port.accept(listener, move |socket, remote, tls| {
            let http = if tls.is_some() { encrypted.clone() } else { plain.clone() };
            async move {
                if let Err(error) = http.serve(socket, remote, tls).await {
                    tracing::debug!(remote = %Remote(remote), error, "connection ended");
                }
            }
        });
    }
    port.drained(Some(drain_timeout)).await;
}

/// Calls `serve` with each connection of the listeners, until `drain` begins, and waits for the end of all
/// connections. What is spoken on a connection, and when it ends, is up to `serve`; [`Drain::close`] ends those that are
/// left.
pub async fn serve_connections<F>(
    listeners: Vec<Listener>,
    serve: impl Fn(Accepted<Socket>) -> F + Clone + Send + 'static,
    drain: Drain,
) where
    F: Future<Output = ()> + Send,
{
    let port = Port::new(drain.clone());
    for listener in listeners {
        let (serve, drain) = (serve.clone(), drain.clone());
        port.accept(listener, move |socket, remote, tls| {
            let (serve, drain) = (serve.clone(), drain.clone());
            async move {
                let _ = socket.send_at_once();
                let opened = tokio::select! {
                    biased;
                    opened = Accepted::open(socket, remote, tls.as_ref()) => opened,
                    () = drain.begun() => return,
                };
                if let Some(accepted) = opened {
                    serve(accepted).await;
                }
            }
        });
    }
    port.drained(None).await;
}

/// The tasks of a call of [`serve`].
struct Port {
    drain: Drain,
    /// Whether the connections that are left are closed.
    closing: watch::Sender<bool>,
    /// Every task holds a sender; when the last is gone the receiver knows.
    alive: mpsc::Sender<()>,
    all_gone: mpsc::Receiver<()>,
}

impl Port {
    fn new(drain: Drain) -> Self {
        let (alive, all_gone) = mpsc::channel(1);
        Self { drain, closing: watch::Sender::new(false), alive, all_gone }
    }

    /// Begins a task that accepts connections, and serves each in a task of its own.
    fn accept<F>(
        &self,
        mut listener: Listener,
        serve: impl Fn(Socket, Option<SocketAddr>, Option<ServerTls>) -> F + Clone + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (drain, closing, alive) = (self.drain.clone(), self.closing.subscribe(), self.alive.clone());
        tokio::spawn(async move {
            loop {
                let Incoming { socket, remote, permit } = tokio::select! {
                    incoming = listener.next() => incoming,
                    () = drain.begun() => break,
                };
                let (serve, encryption, drain) = (serve.clone(), listener.encryption.clone(), drain.clone());
                let (mut closing, alive) = (closing.clone(), alive.clone());
                let connection = async move {
                    let tls = tokio::select! {
                        // A connection whose kind is known is open at once.
                        biased;
                        tls = encryption.of(&socket) => tls,
                        () = drain.begun() => return,
                    };
                    // An error means that the connection is gone.
                    if let Ok(tls) = tls {
                        serve(socket, remote, tls).await;
                    }
                };
                tokio::spawn(async move {
                    tokio::select! {
                        () = connection => {}
                        _ = closing.wait_for(|closing| *closing) => {}
                    }
                    drop((permit, alive));
                });
            }
            // In this order: with the last `alive` the port has ended, and holds nothing.
            drop((listener, serve));
            drop(alive);
        });
    }

    /// Waits until the port drains and its connections have ended. Those that are left after `timeout`, or when the drain
    /// is closed, are closed.
    async fn drained(mut self, timeout: Option<Duration>) {
        drop(self.alive);
        self.drain.begun().await;
        tokio::select! {
            biased;
            // Nothing is ever sent; this ends when the last connection has.
            _ = self.all_gone.recv() => return,
            () = self.drain.closed() => {}
            () = passed(timeout) => {
                tracing::warn!("clients still connected after the drain timeout; closing their connections");
            }
        }
        self.closing.send_replace(true);
        let _ = self.all_gone.recv().await;
    }
}

/// Waits for a time, `None` for ever.
async fn passed(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
