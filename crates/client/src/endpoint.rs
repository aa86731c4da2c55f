//! Where a server is.

use std::io;
use std::time::Duration;

use ferretcd_tls::ClientTls;
use http::uri::Scheme;
use hyper::client::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::connection::Connection;
use crate::{Config, Error};

/// etcd closes connections on which pings come more often; its own client obeys the same limit.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(10);

/// A parsed endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    host: String,
    port: u16,
    /// `None` without encryption.
    tls: Option<ClientTls>,
}

/// A byte stream to a server, encrypted or not.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Endpoint {
    pub(crate) fn parse(text: &str, config: &Config) -> Result<Self, Error> {
        let bad = || Error::Endpoint(text.to_owned());
        let (is_encrypted, address) = match text.split_once("://") {
            Some(("http", address)) => (false, address),
            Some(("https", address)) => (true, address),
            Some(_) => return Err(bad()),
            None => (config.encrypts_by_default, text),
        };
        let (host, port) = address.trim_end_matches('/').rsplit_once(':').ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| bad())?;
        if host.is_empty() {
            return Err(bad());
        }
        let tls = match (is_encrypted, &config.tls) {
            (false, _) => None,
            (true, Some(tls)) => Some(tls.clone()),
            (true, None) => return Err(Error::NoTls(text.to_owned())),
        };
        Ok(Self { host: host.to_owned(), port, tls })
    }

    /// As a URL.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority())
    }

    fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }

    /// Connects, without a limit of time.
    pub(crate) async fn connect(&self, config: &Config) -> io::Result<Connection> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Io> = match &self.tls {
            Some(tls) => Box::new(tls.connect(&self.host, stream).await.map_err(io::Error::other)?),
            None => Box::new(stream),
        };
        let mut builder = Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new());
        if let Some(keep_alive) = config.keep_alive {
            builder.keep_alive_interval(keep_alive.interval.max(KEEP_ALIVE_MIN));
            builder.keep_alive_timeout(keep_alive.timeout);
        }
        if let Some(windows) = config.windows {
            builder.initial_stream_window_size(windows.stream);
            builder.initial_connection_window_size(windows.connection);
        }
        let handshake = builder.handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        // It ends when the last sender is dropped. Its errors reach the requests.
        tokio::spawn(connection);
        let authority = self.authority().parse().map_err(io::Error::other)?;
        Ok(Connection::new(sender, self.scheme(), authority))
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_tls::ClientConfig;

    use super::*;

    fn parse(text: &str, encrypts_by_default: bool) -> Result<String, Error> {
        let tls = ClientTls::load(ClientConfig { insecure_skip_verify: true, ..ClientConfig::default() });
        let config = Config {
            encrypts_by_default,
            tls: Some(tls.expect("no files are needed")),
            ..Config::new([""; 0])
        };
        Endpoint::parse(text, &config).map(|endpoint| endpoint.origin())
    }

    #[test]
    fn a_scheme_overrides_the_default() {
        let check = |text, encrypts_by_default, expected: &str| {
            assert_eq!(parse(text, encrypts_by_default).unwrap(), expected, "{text}");
        };
        check("h:1", false, "http://h:1");
        check("h:1", true, "https://h:1");
        check("http://h:1/", true, "http://h:1");
        check("https://[::1]:1", false, "https://[::1]:1");
    }

    #[test]
    fn malformed_endpoints_are_rejected() {
        for bad in ["ftp://h:1", "h", "http://h", "h:port", "unix://x:1", "http://:1", ""] {
            assert!(matches!(parse(bad, false), Err(Error::Endpoint(_))), "{bad}");
        }
    }

    #[test]
    fn encryption_needs_certificates() {
        let parsed = Endpoint::parse("https://h:1", &Config::new([""; 0]));
        assert!(matches!(parsed, Err(Error::NoTls(_))), "{parsed:?}");
    }
}
