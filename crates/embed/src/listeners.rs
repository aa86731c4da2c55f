//! The sockets that a member listens on.

use std::io;

use ferretcd_grpc_server::{Exposure, Server};
use ferretcd_listen::{
    Address, BindError, BindUnixError, Bound, ConnectionLimit, Endpoint, Listener, SocketOptions, bind,
    bind_unix,
};
use ferretcd_membership::Url;
use ferretcd_tls::ServerTls;
use tokio::runtime::Handle;
use tracing::{error, info};

use crate::certificates::Certificates;
use crate::config::{Listen, url_texts};

/// A URL that can't be listened on. Where etcd has a text for the error, it is that one.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The socket can't be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The URL is one for gRPC and one for HTTP alone.
    #[error("cannot bind both --listen-client-urls and --listen-client-http-urls on the same url {0}")]
    SameUrl(String),
    /// The Unix socket can't be bound.
    #[error(transparent)]
    BindUnix(#[from] BindUnixError),
    /// The URL of a Unix socket has no path.
    #[error("listen on {0}: the URL has no path; write unix:///path/of/the/socket")]
    NoPath(String),
    /// The URL is to be encrypted, and the configuration has no certificate.
    #[error("listen on {0}: there is no certificate for it")]
    NoCertificate(String),
    /// The address of a bound socket can't be read.
    #[error("read the address of a socket: {0}")]
    Address(io::Error),
}

/// The addresses that a server has bound, in the order of the URLs in [`Listen`]. URLs of one address have one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For [`Listen::client`].
    pub clients: Vec<Address>,
    /// For [`Listen::client_http`].
    pub clients_http: Vec<Address>,
    /// For [`Listen::metrics`].
    pub metrics: Vec<Address>,
    /// For [`Listen::peer`].
    pub peers: Vec<Address>,
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
    /// Binds all of them, those for other members on the runtime `of_peers`, which watches these sockets.
    pub(crate) fn bind(
        listen: &Listen,
        connections_max: Option<usize>,
        certificates: &Certificates,
        of_peers: &Handle,
    ) -> Result<Self, ListenError> {
        let options = SocketOptions { reuse_port: listen.reuse_port };
        let open = |urls: &[Url], tls: &Option<ServerTls>| {
            places(urls).iter().map(|place| place.open(tls.as_ref(), options)).collect::<Result<Vec<_>, _>>()
        };
        info!("listen-peer-urls[]" = ?url_texts(&listen.peer), "configuring peer listeners");
        let peers = {
            let _of_peers = of_peers.enter();
            open(&listen.peer, &certificates.peer)
        };
        let peers = peers.inspect_err(|error| error!(%error, "creating peer listener failed"))?;
        info!("listen-client-urls[]" = ?url_texts(&listen.client), "configuring client listeners");
        let grpc = places(&listen.client);
        let is_both = |url: &&Url| grpc.iter().any(|place| place.is_of(url));
        if let Some(url) = listen.client_http.iter().find(is_both) {
            return Err(ListenError::SameUrl(url.to_string()));
        }
        let limit = connections_max.map(ConnectionLimit::new);
        let limited = |listener: Listener| match &limit {
            Some(limit) => listener.limited(limit),
            None => listener,
        };
        let for_clients = |urls: &[Url]| {
            open(urls, &certificates.client).map(|found| found.into_iter().map(limited).collect::<Vec<_>>())
        };
        let (clients, clients_http) = (for_clients(&listen.client)?, for_clients(&listen.client_http)?);
        let metrics = open(&listen.metrics, &certificates.client)?;
        Ok(Self { clients, clients_http, metrics, peers })
    }

    /// The addresses that are bound.
    pub(crate) fn addresses(&self) -> io::Result<Addresses> {
        let all = |listeners: &[Listener]| listeners.iter().map(Listener::address).collect::<io::Result<_>>();
        Ok(Addresses {
            clients: all(&self.clients)?,
            clients_http: all(&self.clients_http)?,
            metrics: all(&self.metrics)?,
            peers: all(&self.peers)?,
        })
    }

    /// The bound addresses for clients, as URLs. Those of Unix sockets are among the URLs to listen on, `listened`.
    pub(crate) fn client_urls(&self, listened: &[Url]) -> io::Result<Vec<Url>> {
        let mut urls: Vec<_> = listened.iter().filter(|url| url.scheme().is_unix()).cloned().collect();
        for listener in &self.clients {
            let Some(address) = listener.address()?.tcp() else { continue };
            let schemes = [("http", listener.takes_plain()), ("https", listener.takes_encrypted())];
            for (scheme, _) in schemes.into_iter().filter(|(_, is_taken)| *is_taken) {
                urls.push(Url::parse(&format!("{scheme}://{address}")).expect("an address makes a URL"));
            }
        }
        Ok(urls)
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
            if listener.takes_plain() {
                info!(traffic, address, "serving client traffic insecurely; this is strongly discouraged!");
            }
            if listener.takes_encrypted() {
                info!(traffic, address, "serving client traffic securely");
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
    listener.address().map_or_else(|error| error.to_string(), |address| address.to_string())
}

/// An address to listen on, and what is spoken there.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    /// Whether the address is a path.
    is_unix: bool,
    /// As it stands in the URLs: other spellings of the same address are other places.
    address: String,
    /// The first URL in the clear.
    plain: Option<&'a Url>,
    /// The first URL with TLS.
    encrypted: Option<&'a Url>,
}

/// The places of URLs, in the order of their first URLs. `http` and `https` of one address are one place, and so are `unix`
/// and `unixs`.
fn places(urls: &[Url]) -> Vec<Place<'_>> {
    let mut places: Vec<Place<'_>> = Vec::new();
    for url in urls {
        let at = places.iter().position(|place| place.is_of(url)).unwrap_or_else(|| {
            let (is_unix, address) = (url.scheme().is_unix(), url.address());
            places.push(Place { is_unix, address, plain: None, encrypted: None });
            places.len() - 1
        });
        let scheme = if url.scheme().is_tls() { &mut places[at].encrypted } else { &mut places[at].plain };
        scheme.get_or_insert(url);
    }
    places
}

impl Place<'_> {
    fn is_of(&self, url: &Url) -> bool {
        self.is_unix == url.scheme().is_unix() && self.address == url.address()
    }

    fn open(&self, tls: Option<&ServerTls>, options: SocketOptions) -> Result<Listener, ListenError> {
        let tls = match (self.encrypted, tls) {
            (None, _) => None,
            (Some(_), Some(tls)) => Some(tls.clone()),
            (Some(url), None) => return Err(ListenError::NoCertificate(url.to_string())),
        };
        let socket = self.bind(options)?;
        Ok(match (tls, self.plain) {
            (None, _) => Listener::plain(socket),
            (Some(tls), None) => Listener::encrypted(socket, tls),
            (Some(tls), Some(_)) => Listener::either(socket, tls),
        })
    }

    fn bind(&self, options: SocketOptions) -> Result<Bound, ListenError> {
        if !self.is_unix {
            return Ok(bind(&self.address, options)?.into());
        }
        match self.plain.or(self.encrypted) {
            Some(url) if self.address.is_empty() => Err(ListenError::NoPath(url.to_string())),
            _ => Ok(bind_unix(&self.address)?.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which places URLs make, as `address: schemes`.
    fn check(urls: &[&str], expected: &[&str]) {
        let urls: Vec<_> = urls.iter().map(|url| Url::parse(url).expect("a URL")).collect();
        let shown = |place: &Place<'_>| {
            let schemes = [("plain", place.plain), ("tls", place.encrypted)];
            let names = schemes.into_iter().filter_map(|(name, url)| url.map(|_| name));
            format!("{}: {}", place.address, names.collect::<Vec<_>>().join(" "))
        };
        let found: Vec<_> = places(&urls).iter().map(shown).collect();
        assert_eq!(found, expected, "{urls:?}");
    }

    #[test]
    fn urls_of_one_address_are_one_place() {
        check(&[], &[]);
        check(&["http://127.0.0.1:1"], &["127.0.0.1:1: plain"]);
        check(&["https://127.0.0.1:1", "http://127.0.0.1:1"], &["127.0.0.1:1: plain tls"]);
        check(&["http://127.0.0.1:1", "HTTP://127.0.0.1:1"], &["127.0.0.1:1: plain"]);
        check(&["http://[::1]:0", "http://127.0.0.1:0"], &["[::1]:0: plain", "127.0.0.1:0: plain"]);
        check(&["http://localhost:1", "https://127.0.0.1:1"], &["localhost:1: plain", "127.0.0.1:1: tls"]);
        check(&["https://h:2", "http://h:1", "http://h:2"], &["h:2: plain tls", "h:1: plain"]);
        check(&["unixs:///a", "unix:///a", "unix:///%61"], &["/a: plain tls"]);
        check(&["http://h:1", "unix://h:1"], &["h:1: plain", "h:1: plain"]);
    }
}
