//! The connections with other members: dialling them, and accepting theirs.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ferretcd_listen::{Accepted, Drain, Listener, Socket, serve_connections};
use ferretcd_tls::ClientTls;
use ferretcd_transport::{BoxedIo, Connect, Dialing, PeerServer, PlainConnect, socket_path};
use http::Uri;
use tokio::net::UnixStream;

use crate::config::{Config, url_texts};

/// Between two attempts to begin a stream; etcd's.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// After a whole snapshot could not be sent to a member, at first.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(1);
/// How long a member that has got a whole snapshot may take to store it.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(600);

/// How the transport of a member is set up. Without `tls` only URLs in the clear can be dialled.
pub(crate) fn transport_config(config: &Config, tls: Option<ClientTls>) -> ferretcd_transport::Config {
    let election = config.raft.election_timeout;
    ferretcd_transport::Config {
        peer_urls: url_texts(&config.advertise.peer),
        connect: Arc::new(Dialer { plain: PlainConnect { source: config.peer_source }, tls }),
        dial_timeout: Duration::from_secs(1) + election,
        call_timeout: Duration::from_secs(5) + 2 * election,
        silence: config.limits.peer_read_timeout,
        write_timeout: config.limits.peer_write_timeout,
        retry_pause: RETRY_PAUSE,
        snapshot_pause: SNAPSHOT_PAUSE,
        snapshot_timeout: SNAPSHOT_TIMEOUT,
    }
}

/// Dials with TLS or without, as the URL says.
struct Dialer {
    plain: PlainConnect,
    tls: Option<ClientTls>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("plain", &self.plain).field("has_tls", &self.tls.is_some()).finish()
    }
}

impl Connect for Dialer {
    fn connect(&self, url: &Uri) -> Dialing {
        if !matches!(url.scheme_str(), Some("https" | "unixs")) {
            return self.plain.connect(url);
        }
        let (plain, tls, url) = (self.plain, self.tls.clone(), url.clone());
        Box::pin(async move {
            let tls = tls.ok_or_else(|| {
                let shown = socket_path(&url).map(|path| format!("unixs://{}", path.display()));
                let shown = shown.unwrap_or_else(|| url.to_string());
                let text = format!("{shown} needs certificates; give --peer-cert-file and --peer-key-file");
                io::Error::new(io::ErrorKind::Unsupported, text)
            })?;
            if let Some(path) = socket_path(&url) {
                let stream = UnixStream::connect(&path).await?;
                let encrypted = tls.connect_at(&path, stream).await.map_err(io::Error::other)?;
                return Ok(Box::new(encrypted) as BoxedIo);
            }
            let host = url.host().ok_or(io::ErrorKind::InvalidInput)?;
            // Brackets of IPv6 addresses are part of URLs only.
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = plain.open(host, url.port_u16().unwrap_or(443)).await?;
            let encrypted = tls.connect(host, stream).await.map_err(io::Error::other)?;
            Ok(Box::new(encrypted) as BoxedIo)
        })
    }
}

/// Serves other members on all listeners. When `drain` begins, no further request is taken; streams go on until the
/// transport stops.
pub(crate) async fn serve_peers(listeners: Vec<Listener>, server: PeerServer, drain: Drain) {
    let draining = drain.clone();
    let serve = move |Accepted { stream, remote, .. }: Accepted<Socket>| {
        let (server, draining) = (server.clone(), draining.clone());
        async move { server.serve_connection(stream, remote, draining.begun()).await }
    };
    serve_connections(listeners, serve, drain).await;
}
