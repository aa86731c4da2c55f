//! The sockets that a member listens on.

use std::io;
use std::net::SocketAddr;

use ferretcd_grpc_server::{Exposure, Server};
use ferretcd_listen::{Endpoint, Listener, SocketOptions};
use ferretcd_membership::Url;
use ferretcd_tls::ServerTls;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::certificates::Certificates;
use crate::config::{Listen, url_texts};

/// A URL that can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The socket can't be bound.
    #[error("listen on {url}: {source}")]
    Bind {
        /// The URL.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// The URL is a Unix socket.
    #[error("listen on {0}: Unix sockets are not supported by this version; use an http:// URL")]
    UnixSocket(String),
    /// The URL is to be encrypted, and the configuration has no certificate.
    #[error("listen on {0}: there is no certificate for it")]
    NoCertificate(String),
    /// The address of a bound socket can't be read.
    #[error("read the address of a socket: {0}")]
    Address(io::Error),
}

/// The addresses that a server has bound, in the order of the URLs in [`Listen`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For [`Listen::client`].
    pub clients: Vec<SocketAddr>,
    /// For [`Listen::client_http`].
    pub clients_http: Vec<SocketAddr>,
    /// For [`Listen::metrics`].
    pub metrics: Vec<SocketAddr>,
    /// For [`Listen::peer`].
    pub peers: Vec<SocketAddr>,
}

/// The bound sockets. Binding comes before the data is touched, so that a second server on the same ports
/// fails at once.
pub(crate) struct Listeners {
    clients: Vec<Listener>,
    clients_http: Vec<Listener>,
    metrics: Vec<Listener>,
    peers: Vec<Listener>,
}

impl Listeners {
    /// Binds all of them.
    pub(crate) fn bind(listen: &Listen, certificates: &Certificates) -> Result<Self, ListenError> {
        let one = |url: &Url, tls: &Option<ServerTls>| {
            if !url.scheme().is_tls() {
                return Ok(Listener::plain(bind(url, listen)?));
            }
            let Some(tls) = tls else { return Err(ListenError::NoCertificate(url.as_str().to_owned())) };
            Ok(Listener::encrypted(bind(url, listen)?, tls.clone()))
        };
        let all = |urls: &[Url], tls: &Option<ServerTls>| {
            urls.iter().map(|url| one(url, tls)).collect::<Result<Vec<_>, ListenError>>()
        };
        info!("listen-peer-urls[]" = ?url_texts(&listen.peer), "configuring peer listeners");
        let peers = all(&listen.peer, &certificates.peer)?;
        info!("listen-client-urls[]" = ?url_texts(&listen.client), "configuring client listeners");
        let clients = all(&listen.client, &certificates.client)?;
        let clients_http = all(&listen.client_http, &certificates.client)?;
        Ok(Self { clients, clients_http, metrics: all(&listen.metrics, &certificates.client)?, peers })
    }

    /// The addresses that are bound.
    pub(crate) fn addresses(&self) -> io::Result<Addresses> {
        let all =
            |listeners: &[Listener]| listeners.iter().map(Listener::local_addr).collect::<io::Result<_>>();
        Ok(Addresses {
            clients: all(&self.clients)?,
            clients_http: all(&self.clients_http)?,
            metrics: all(&self.metrics)?,
            peers: all(&self.peers)?,
        })
    }

    /// The bound addresses for clients, as URLs.
    pub(crate) fn client_urls(&self) -> io::Result<Vec<Url>> {
        let url = |listener: &Listener| {
            let scheme = if listener.is_encrypted() { "https" } else { "http" };
            Ok(Url::parse(&format!("{scheme}://{}", listener.local_addr()?)).expect("an address makes a URL"))
        };
        self.clients.iter().map(url).collect()
    }

    /// Those for other members, which are served before the rest.
    pub(crate) fn take_peers(&mut self) -> Vec<Listener> {
        let peers = std::mem::take(&mut self.peers);
        for listener in &peers {
            info!(address = address(listener), "serving peer traffic");
        }
        peers
    }

    /// Those for probes and metrics, which are served before the rest as well.
    pub(crate) fn take_metrics(&mut self, server: &Server) -> Vec<Endpoint<Server>> {
        let server = server.exposing(Exposure::Metrics);
        let listeners = std::mem::take(&mut self.metrics).into_iter();
        let announced = listeners.inspect(|listener| info!(address = address(listener), "serving metrics"));
        announced.map(|listener| server.endpoint(listener)).collect()
    }

    /// What etcd says for each listener, and what its users wait for.
    pub(crate) fn announce(&self) {
        let traffic = if self.clients_http.is_empty() { "grpc+http" } else { "grpc" };
        let http = self.clients_http.iter().map(|listener| ("http", listener));
        for (traffic, listener) in self.clients.iter().map(|listener| (traffic, listener)).chain(http) {
            info!("ready to serve client requests");
            let address = address(listener);
            if listener.is_encrypted() {
                info!(traffic, address, "serving client traffic securely");
            } else {
                warn!(traffic, address, "serving client traffic insecurely; this is strongly discouraged!");
            }
        }
    }

    /// Those for clients.
    pub(crate) fn endpoints(self, server: &Server) -> Vec<Endpoint<Server>> {
        let clients =
            if self.clients_http.is_empty() { server.clone() } else { server.exposing(Exposure::Grpc) };
        let ports = [(self.clients, clients), (self.clients_http, server.exposing(Exposure::Http))];
        ports
            .into_iter()
            .flat_map(|(listeners, server)| {
                listeners.into_iter().map(move |listener| server.endpoint(listener))
            })
            .collect()
    }
}

fn address(listener: &Listener) -> String {
    listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
}

fn bind(url: &Url, listen: &Listen) -> Result<TcpListener, ListenError> {
    if url.scheme().is_unix() {
        return Err(ListenError::UnixSocket(url.as_str().to_owned()));
    }
    let options = SocketOptions { reuse_port: listen.reuse_port };
    ferretcd_listen::bind(url.address(), options)
        .map_err(|source| ListenError::Bind { url: url.as_str().to_owned(), source })
}
