//! Accepting connections and their TLS handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferretcd_tls::{PeerIdentity, ServerTls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::stream::Stream;

/// Pause after the system has no descriptor for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound socket, with TLS or without.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: TcpListener,
    /// `None` for connections in the clear.
    pub(crate) tls: Option<ServerTls>,
}

impl Listener {
    /// Connections in the clear.
    pub fn plain(socket: TcpListener) -> Self {
        Self { socket, tls: None }
    }

    /// TLS and nothing else.
    pub fn encrypted(socket: TcpListener, tls: ServerTls) -> Self {
        Self { socket, tls: Some(tls) }
    }

    /// Whether connections are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection. An error of the system is logged, and tried again after a pause. Dropping the future
    /// loses no connection.
    pub(crate) async fn next(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok(accepted) => return accepted,
                // A client that is gone before it was accepted concerns no other client.
                Err(error) if is_about_one_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn is_about_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Accepted<IO> {
    /// Its bytes, decrypted.
    pub stream: Stream<IO>,
    /// The address of the other side.
    pub remote: SocketAddr,
    /// The names in the certificate of the other side, verified; `None` if the port requests no certificate.
    pub identity: Option<Arc<PeerIdentity>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Accepted<IO> {
    /// Does the handshake, if there is one. `None` if the connection was rejected, which is then logged.
    pub(crate) async fn open(io: IO, remote: SocketAddr, tls: Option<&ServerTls>) -> Option<Self> {
        let Some(tls) = tls else {
            return Some(Self { stream: Stream::Plain(io), remote, identity: None });
        };
        match tls.accept(io, remote).await {
            Ok(ferretcd_tls::Accepted { stream, identity }) => {
                Some(Self { stream: Stream::Encrypted(Box::new(stream)), remote, identity })
            }
            Err(rejected) => {
                rejected.log();
                None
            }
        }
    }
}
