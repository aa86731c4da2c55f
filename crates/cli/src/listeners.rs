//! The sockets that a member listens on.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use ferretcd_grpc_server::{Endpoint, Face, Server};
use ferretcd_tls::ServerTls;
use tokio::net::{TcpListener, TcpSocket};
use tracing::{info, warn};

use crate::config::{Listen, Url};
use crate::secure::Secured;

/// Connections that the system queues while none is accepted.
const LISTEN_BACKLOG: u32 = 1024;

/// Why there is no listening on a URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("listen on {url}: {source}")]
    Bind { url: String, source: io::Error },
    #[error("listen on {0}: Unix sockets are not supported by this version; use an http:// URL")]
    UnixSocket(String),
    #[error("listen on {0}: there is no certificate for it")]
    NoCertificate(String),
}

/// The bound sockets. Binding comes before the data is touched, so that a second server on the same ports
/// fails at once.
pub(crate) struct Listeners {
    clients: Vec<Bound>,
    clients_http: Vec<Bound>,
    metrics: Vec<Bound>,
    peers: Vec<Bound>,
}

/// A bound socket.
pub(crate) struct Bound {
    pub(crate) tcp: TcpListener,
    /// `None` for connections in the clear.
    pub(crate) tls: Option<ServerTls>,
}

impl Bound {
    fn endpoint(self, server: &Server) -> Endpoint {
        match self.tls {
            Some(tls) => Endpoint::encrypted(self.tcp, server, tls),
            None => Endpoint::plain(self.tcp, server.clone()),
        }
    }
}

impl Listeners {
    /// Binds all of them.
    pub(crate) fn bind(listen: &Listen, secured: &Secured) -> Result<Self, ListenError> {
        let one = |url: &Url, tls: &Option<ServerTls>| {
            let tls = tls.clone().filter(|_| url.scheme().is_tls());
            if url.scheme().is_tls() && tls.is_none() {
                return Err(ListenError::NoCertificate(url.as_str().to_owned()));
            }
            Ok(Bound { tcp: bind(url, listen)?, tls })
        };
        let all = |urls: &[Url], tls: &Option<ServerTls>| {
            urls.iter().map(|url| one(url, tls)).collect::<Result<Vec<_>, ListenError>>()
        };
        let texts = |urls: &[Url]| urls.iter().map(|url| url.as_str().to_owned()).collect::<Vec<_>>();
        info!("listen-peer-urls[]" = ?texts(&listen.peer), "configuring peer listeners");
        let peers = all(&listen.peer, &secured.peer)?;
        info!("listen-client-urls[]" = ?texts(&listen.client), "configuring client listeners");
        let clients = all(&listen.client, &secured.client)?;
        let clients_http = all(&listen.client_http, &secured.client)?;
        Ok(Self { clients, clients_http, metrics: all(&listen.metrics, &secured.client)?, peers })
    }

    /// Those for other members, which are served before the rest.
    pub(crate) fn take_peers(&mut self) -> Vec<Bound> {
        let peers = std::mem::take(&mut self.peers);
        for listener in &peers {
            info!(address = address(&listener.tcp), "serving peer traffic");
        }
        peers
    }

    /// Those for probes and metrics, which are served before the rest as well.
    pub(crate) fn take_metrics(&mut self, server: &Server) -> Vec<Endpoint> {
        let server = server.face(Face::Metrics);
        let listeners = std::mem::take(&mut self.metrics).into_iter();
        let announced =
            listeners.inspect(|listener| info!(address = address(&listener.tcp), "serving metrics"));
        announced.map(|listener| listener.endpoint(&server)).collect()
    }

    /// What etcd says for each listener, and what its users wait for.
    pub(crate) fn announce(&self) {
        let traffic = if self.clients_http.is_empty() { "grpc+http" } else { "grpc" };
        let http = self.clients_http.iter().map(|listener| ("http", listener));
        for (traffic, listener) in self.clients.iter().map(|listener| (traffic, listener)).chain(http) {
            info!("ready to serve client requests");
            let address = address(&listener.tcp);
            if listener.tls.is_some() {
                info!(traffic, address, "serving client traffic securely");
            } else {
                warn!(traffic, address, "serving client traffic insecurely; this is strongly discouraged!");
            }
        }
    }

    /// Those for clients.
    pub(crate) fn endpoints(self, server: &Server) -> Vec<Endpoint> {
        let clients = if self.clients_http.is_empty() { server.clone() } else { server.face(Face::Grpc) };
        let faces = [(self.clients, clients), (self.clients_http, server.face(Face::Http))];
        faces
            .into_iter()
            .flat_map(|(listeners, server)| listeners.into_iter().map(move |bound| bound.endpoint(&server)))
            .collect()
    }
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
}

fn bind(url: &Url, listen: &Listen) -> Result<TcpListener, ListenError> {
    if url.scheme().is_unix() {
        return Err(ListenError::UnixSocket(url.as_str().to_owned()));
    }
    let bind = || -> io::Result<TcpListener> {
        let addresses: Vec<SocketAddr> = url.address().to_socket_addrs()?.collect();
        let first = addresses.first().ok_or(io::ErrorKind::AddrNotAvailable)?;
        // `localhost` is both 127.0.0.1 and ::1 on most machines; clients try the former first.
        let address = addresses.iter().find(|address| address.is_ipv4()).unwrap_or(first);
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // As Go does: a restart must not wait for the connections of the process before.
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(listen.reuse_port)?;
        socket.bind(*address)?;
        socket.listen(LISTEN_BACKLOG)
    };
    bind().map_err(|source| ListenError::Bind { url: url.as_str().to_owned(), source })
}
