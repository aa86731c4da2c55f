//! Where a server is.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferretcd_tls::ClientTls;
use http::uri::Scheme;
use hyper::client::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::connection::Connection;
use crate::{Config, Error};

/// etcd closes connections on which pings come more often; its own client obeys the same limit.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(10);

/// A parsed endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    place: Place,
    /// `None` without encryption.
    tls: Option<ClientTls>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// A byte stream to a server, encrypted or not.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Endpoint {
    pub(crate) fn parse(text: &str, config: &Config) -> Result<Self, Error> {
        let place = Place::parse(text).ok_or_else(|| Error::Endpoint(text.to_owned()))?;
        let begins = |schemes: [&str; 2]| schemes.iter().any(|scheme| text.starts_with(scheme));
        let is_in_the_clear = begins(["http://", "unix:"]);
        let is_encrypted = begins(["https://", "unixs:"]) || config.encrypts_by_default && !is_in_the_clear;
        let tls = match (is_encrypted, &config.tls) {
            (false, _) => None,
            (true, Some(tls)) => Some(tls.clone()),
            (true, None) => return Err(Error::NoTls(text.to_owned())),
        };
        Ok(Self { place, tls })
    }

    /// As a URL.
    pub(crate) fn origin(&self) -> String {
        match (&self.place, &self.tls) {
            (Place::Tcp { .. }, _) => format!("{}://{}", self.scheme(), self.authority()),
            (Place::Unix(path), None) => format!("unix://{}", path.display()),
            (Place::Unix(path), Some(_)) => format!("unixs://{}", path.display()),
        }
    }

    fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// What requests name as the host.
    fn authority(&self) -> String {
        match &self.place {
            Place::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Place::Tcp { host, port } => format!("{host}:{port}"),
            Place::Unix(_) => "localhost".to_owned(),
        }
    }

    async fn open(&self) -> io::Result<Box<dyn Io>> {
        match &self.place {
            Place::Tcp { host, port } => {
                let stream = TcpStream::connect((&**host, *port)).await?;
                stream.set_nodelay(true)?;
                Ok(match &self.tls {
                    Some(tls) => Box::new(tls.connect(host, stream).await.map_err(io::Error::other)?),
                    None => Box::new(stream),
                })
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                Ok(match &self.tls {
                    Some(tls) => Box::new(tls.connect_at(path, stream).await.map_err(io::Error::other)?),
                    None => Box::new(stream),
                })
            }
        }
    }

    /// Connects, without a limit of time.
    pub(crate) async fn connect(&self, config: &Config) -> io::Result<Connection> {
        let stream = self.open().await?;
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

impl Place {
    fn parse(text: &str) -> Option<Self> {
        if let Some((_, path)) =
            text.split_once(':').filter(|(scheme, _)| matches!(*scheme, "unix" | "unixs"))
        {
            let path = Path::new(path.strip_prefix("//").unwrap_or(path));
            return path.file_name().map(|_| Self::Unix(path.to_owned()));
        }
        let address = match text.split_once("://") {
            Some(("http" | "https", address)) => address,
            Some(_) => return None,
            None => text,
        };
        let (host, port) = address.trim_end_matches('/').rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok()?;
        (!host.is_empty()).then(|| Self::Tcp { host: host.to_owned(), port })
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
        check("https:1", false, "http://https:1");
        check("https://[::1]:1", false, "https://[::1]:1");
        check("unix:///run/x.sock", true, "unix:///run/x.sock");
        check("unixs:///run/x.sock", false, "unixs:///run/x.sock");
        check("unix://h:1", false, "unix://h:1");
        check("unix:x", false, "unix://x");
    }

    #[test]
    fn malformed_endpoints_are_rejected() {
        for bad in ["ftp://h:1", "h", "http://h", "h:port", "unix://", "unixs:/", "http://:1", ""] {
            assert!(matches!(parse(bad, false), Err(Error::Endpoint(_))), "{bad}");
        }
    }

    #[test]
    fn encryption_needs_certificates() {
        let parsed = Endpoint::parse("https://h:1", &Config::new([""; 0]));
        assert!(matches!(parsed, Err(Error::NoTls(_))), "{parsed:?}");
    }
}
