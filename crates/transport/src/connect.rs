//! Dialling peers.

use std::fmt;
use std::io;
use std::pin::Pin;

use http::Uri;
use http::uri::Scheme;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A stream of bytes in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection of some kind.
pub type BoxedIo = Box<dyn Io>;

/// The outcome of dialling, to be awaited. Dropping it cancels.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<BoxedIo>> + Send>>;

/// Dials peers.
pub trait Connect: fmt::Debug + Send + Sync + 'static {
    /// Connects to the host of a peer URL, with or without TLS as its scheme says. The caller bounds the time.
    fn connect(&self, url: &Uri) -> Dialing;
}

/// Dials `http://` URLs.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnect;

impl Connect for TcpConnect {
    fn connect(&self, url: &Uri) -> Dialing {
        let url = url.clone();
        Box::pin(async move {
            if url.scheme() != Some(&Scheme::HTTP) {
                return Err(io::Error::new(io::ErrorKind::Unsupported, format!("{url} is no http:// URL")));
            }
            let host = url.host().ok_or(io::ErrorKind::InvalidInput)?;
            // Only URLs have brackets around IPv6 addresses.
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxedIo)
        })
    }
}
