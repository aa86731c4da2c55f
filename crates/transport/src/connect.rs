//! Dialling peers.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use http::Uri;
use http::uri::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};

use crate::peer_uri::socket_path;

/// A stream of bytes in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection of some kind.
pub type BoxedIo = Box<dyn Io>;

/// The outcome of dialling, to be awaited. Dropping it cancels.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<BoxedIo>> + Send>>;

/// Dials peers.
pub trait Connect: fmt::Debug + Send + Sync + 'static {
    /// Connects to the host of a peer URL, with or without TLS as its scheme says. For `unix://` and `unixs://` URLs the
    /// place is [`socket_path`] of it. The caller bounds the time.
    fn connect(&self, url: &Uri) -> Dialing;
}

/// Dials `http://` and `unix://` URLs.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainConnect {
    /// The address of this machine that connections over TCP come from; `None` leaves it to the system.
    pub source: Option<IpAddr>,
}

impl PlainConnect {
    /// Connects to a host, a name or an address, on a port. Of the addresses of a name those of the source's family are
    /// tried, one after the other.
    ///
    /// # Errors
    /// That of the last address. When there is none to try, one that says so.
    pub async fn open(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let stream = match self.source {
            None => TcpStream::connect((host, port)).await?,
            Some(source) => open_from(source, host, port).await?,
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

async fn open_from(source: IpAddr, host: &str, port: u16) -> io::Result<TcpStream> {
    let mut result = Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "no suitable address found"));
    for address in lookup_host((host, port)).await?.filter(|address| address.is_ipv4() == source.is_ipv4()) {
        let socket = if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind(SocketAddr::new(source, 0))?;
        result = socket.connect(address).await;
        if result.is_ok() {
            break;
        }
    }
    result
}

impl Connect for PlainConnect {
    fn connect(&self, url: &Uri) -> Dialing {
        let (tcp, url) = (*self, url.clone());
        Box::pin(async move {
            if let ("unix", Some(path)) = (url.scheme_str().unwrap_or_default(), socket_path(&url)) {
                return Ok(Box::new(UnixStream::connect(path).await?) as BoxedIo);
            }
            if url.scheme() != Some(&Scheme::HTTP) {
                let text = format!("{}:// needs certificates", url.scheme_str().unwrap_or_default());
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            let host = url.host().ok_or(io::ErrorKind::InvalidInput)?;
            // Only URLs have brackets around IPv6 addresses.
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Ok(Box::new(tcp.open(host, url.port_u16().unwrap_or(80)).await?) as BoxedIo)
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn connections_come_from_the_source() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let dial = async |source: Option<&str>, host: &str| {
            let source = source.map(|source| source.parse().expect("an address"));
            PlainConnect { source }.open(host, port).await
        };
        for source in ["127.0.0.1", "127.0.0.2"] {
            let stream = dial(Some(source), "localhost").await.expect("it listens");
            let (_, remote) = listener.accept().await.expect("a connection waits");
            assert_eq!(remote.ip().to_string(), source);
            assert_eq!(stream.local_addr().expect("it is connected"), remote);
        }
        dial(None, "127.0.0.1").await.expect("it listens");
        let error = dial(Some("::1"), "127.0.0.1").await.expect_err("the families differ");
        assert_eq!(error.to_string(), "no suitable address found");
        let error = dial(Some("192.0.2.1"), "127.0.0.1").await.expect_err("it is none of this machine's");
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
