//! Accepting connections and their TLS handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use ferretcd_tls::{PeerIdentity, ServerTls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::accept_errors::AcceptErrors;
use crate::encryption::Encryption;
use crate::socket::{Address, Bound, Socket};
use crate::stream::Stream;

/// A bound socket, with TLS, without, or both.
#[derive(Debug)]
pub struct Listener {
    socket: Bound,
    pub(crate) encryption: Encryption,
    limit: Option<ConnectionLimit>,
    errors: AcceptErrors,
}

/// How many connections some listeners may have together. Clones share it.
#[derive(Clone, Debug)]
pub struct ConnectionLimit(Arc<Semaphore>);

impl ConnectionLimit {
    /// So many; a further one of each listener waits accepted and unserved until another has ended, and the rest in the
    /// system's queue.
    pub fn new(connections_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))))
    }
}

/// A connection before its handshake.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) socket: Socket,
    /// `None` over a Unix socket.
    pub(crate) remote: Option<SocketAddr>,
    /// Its share of the limit, held as long as the connection is open.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

impl Listener {
    /// Connections in the clear.
    pub fn plain(socket: impl Into<Bound>) -> Self {
        Self::new(socket.into(), Encryption::None)
    }

    /// TLS and nothing else.
    pub fn encrypted(socket: impl Into<Bound>, tls: ServerTls) -> Self {
        Self::new(socket.into(), Encryption::Tls(tls))
    }

    /// TLS or not, as the first byte of each connection says. One that sends none waits for the drain.
    pub fn either(socket: impl Into<Bound>, tls: ServerTls) -> Self {
        Self::new(socket.into(), Encryption::Either(tls))
    }

    fn new(socket: Bound, encryption: Encryption) -> Self {
        Self { socket, encryption, limit: None, errors: AcceptErrors::default() }
    }

    /// The same with a bound on its connections.
    #[must_use]
    pub fn limited(self, limit: &ConnectionLimit) -> Self {
        Self { limit: Some(limit.clone()), ..self }
    }

    /// Whether connections may be in the clear.
    pub fn takes_plain(&self) -> bool {
        !matches!(self.encryption, Encryption::Tls(_))
    }

    /// Whether connections may be encrypted.
    pub fn takes_encrypted(&self) -> bool {
        !matches!(self.encryption, Encryption::None)
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// Those of the system.
    pub fn address(&self) -> io::Result<Address> {
        self.socket.address()
    }

    /// The next connection that has its share of the limit. An error of the system is tried again after a pause, and
    /// sometimes logged. Dropping the future closes a connection that waits for its share.
    pub(crate) async fn next(&mut self) -> Incoming {
        let (socket, remote) = self.accept().await;
        // The share comes last: a listener that nothing connects to must not keep one from the others.
        let permit = match &self.limit {
            Some(ConnectionLimit(limit)) => Arc::clone(limit).acquire_owned().await.ok(),
            None => None,
        };
        Incoming { socket, remote, permit }
    }

    async fn accept(&mut self) -> (Socket, Option<SocketAddr>) {
        loop {
            match self.socket.accept().await {
                Ok(accepted) => {
                    if let Some(times) = self.errors.succeeded(now()) {
                        tracing::info!(
                            address = self.shown(),
                            times,
                            "accepting connections again after failures"
                        );
                    }
                    return accepted;
                }
                // A client that is gone before it was accepted concerns no other client.
                Err(error) if is_about_one_client(&error) => {}
                Err(error) => self.wait_after(&error).await,
            }
        }
    }

    async fn wait_after(&mut self, error: &io::Error) {
        let response = self.errors.failed(now());
        if let Some(times) = response.warning {
            let address = self.shown();
            tracing::warn!(%error, address, times, "failed to accept a connection; trying again");
        }
        tokio::time::sleep(response.pause).await;
    }

    /// The address in log lines.
    fn shown(&self) -> String {
        self.address().map_or_else(|error| error.to_string(), |address| address.to_string())
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
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
    /// The address of the other side; `None` over a Unix socket.
    pub remote: Option<SocketAddr>,
    /// The names in the certificate of the other side, verified; `None` if the port requests no certificate.
    pub identity: Option<Arc<PeerIdentity>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Accepted<IO> {
    /// Does the handshake, if there is one. `None` if the connection was rejected, which is then logged.
    pub(crate) async fn open(io: IO, remote: Option<SocketAddr>, tls: Option<&ServerTls>) -> Option<Self> {
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
