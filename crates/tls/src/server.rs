//! The accepting end.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

use crate::allowed::Allowed;
use crate::error::Error;
use crate::files::{Authorities, KeyFiles};
use crate::identity::PeerIdentity;
use crate::protocol::Protocol;
use crate::rejected::{HandshakeError, Rejected, Side, explain};
use crate::reload::Reloader;
use crate::remote::{self, LOOKUPS_MAX};
use crate::revoked::Revoked;
use crate::verifier::{Check, Verifier};
use crate::x509::Usage;

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Each needs some 50 KB while it lasts.
const HANDSHAKES_MAX: usize = 512;

/// The certificate of a listener, and which connections it accepts.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Its certificate.
    pub files: KeyFiles,
    /// The authorities that sign clients' certificates. With a file here every client needs a certificate.
    pub trusted_ca: Option<PathBuf>,
    /// Every client needs a certificate; without [`trusted_ca`](Self::trusted_ca) one of an authority that the system
    /// trusts.
    pub client_cert_auth: bool,
    /// Certificates that are not accepted any more: an X.509 CRL, in DER or PEM. Checked for changes in each handshake.
    pub revoked: Option<PathBuf>,
    /// Which names certificates may have.
    pub allowed: Allowed,
    /// Whether the names in a certificate are compared with the address that the connection comes from. May query the
    /// name service.
    pub check_remote: bool,
    /// Versions and cipher suites.
    pub protocol: Protocol,
    /// The protocols above TLS, the preferred one first. A client that offers others alone is rejected; one that
    /// offers nothing is not.
    pub alpn: Vec<Vec<u8>>,
    /// How long a handshake may take, the wait for its turn and the name service included.
    pub handshake_timeout: Duration,
    /// Handshakes under way at once. A client counts from its first message on; one too many waits for its turn.
    pub handshakes_max: usize,
    /// Whether clients or other members connect.
    pub side: Side,
}

impl ServerConfig {
    /// For clients of all kinds, without a request for their certificates: every version and cipher suite, HTTP/2 and
    /// HTTP/1.1, 10 s for a handshake, 512 of them at once.
    pub fn new(files: KeyFiles) -> Self {
        Self {
            files,
            trusted_ca: None,
            client_cert_auth: false,
            revoked: None,
            allowed: Allowed::Anyone,
            check_remote: false,
            protocol: Protocol::default(),
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            handshake_timeout: HANDSHAKE_TIMEOUT,
            handshakes_max: HANDSHAKES_MAX,
            side: Side::Client,
        }
    }
}

/// A stream whose handshake is done.
pub type ServerStream<IO> = tokio_rustls::server::TlsStream<IO>;

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Accepted<IO> {
    /// Its bytes, decrypted.
    pub stream: ServerStream<IO>,
    /// The names in the client's certificate, verified; `None` if the server requests no certificate.
    pub identity: Option<Arc<PeerIdentity>>,
}

/// Accepts TLS connections. Clones are cheap and share everything.
#[derive(Clone)]
pub struct ServerTls(Arc<Inner>);

struct Inner {
    provider: Arc<CryptoProvider>,
    protocol: Protocol,
    certificate: Arc<Shown>,
    alpn: Vec<Vec<u8>>,
    /// `None` if no certificate is requested.
    verifier: Option<Arc<Verifier>>,
    handshake_timeout: Duration,
    /// One permit for each handshake under way.
    permits: Semaphore,
    side: Side,
    /// `None` if remote addresses are not checked.
    lookups: Option<Arc<Semaphore>>,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("side", &self.0.side).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads all files.
    ///
    /// # Errors
    /// When one of them can't be used; a certificate that has expired can.
    pub fn load(config: ServerConfig) -> Result<Self, Error> {
        let provider = config.protocol.provider();
        let (files, keys) = (config.files, Arc::clone(&provider));
        let certificate = Reloader::new(files.paths(), move || files.load(&keys))?;
        let verifier = if config.client_cert_auth || config.trusted_ca.is_some() {
            let authorities = Authorities::load(config.trusted_ca.as_deref())?;
            let revoked =
                config.revoked.map(|path| Reloader::new(vec![path.clone()], move || Revoked::load(&path)));
            Some(Arc::new(Verifier {
                usage: Usage::Client,
                authorities: Some(authorities),
                allowed: config.allowed,
                revoked: revoked.transpose()?,
            }))
        } else {
            None
        };
        let inner = Inner {
            provider,
            protocol: config.protocol,
            certificate: Arc::new(Shown(certificate)),
            alpn: config.alpn,
            verifier,
            handshake_timeout: config.handshake_timeout,
            permits: Semaphore::new(config.handshakes_max),
            side: config.side,
            lookups: config.check_remote.then(|| Arc::new(Semaphore::new(LOOKUPS_MAX))),
        };
        inner.library(None)?;
        Ok(Self(Arc::new(inner)))
    }

    /// Does the handshake on a stream that comes from `remote`, within the configured time. A Unix socket has no remote
    /// address, so there [`ServerConfig::check_remote`] checks nothing: the mode of the file says what may connect.
    ///
    /// # Errors
    /// When the connection is not to be served. The client gets an alert where the protocol has one.
    pub async fn accept<IO>(
        &self,
        io: IO,
        remote: impl Into<Option<SocketAddr>>,
    ) -> Result<Accepted<IO>, Rejected>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let remote = remote.into();
        let mut server_name = String::new();
        let handshake = timeout(self.0.handshake_timeout, self.handshake(io, remote, &mut server_name)).await;
        let (reason, identity) = match handshake {
            Ok(Ok(accepted)) => return Ok(accepted),
            Ok(Err(failed)) => failed,
            Err(_) => (HandshakeError::Timeout, None),
        };
        Err(Rejected { remote, side: self.0.side, server_name, identity, reason })
    }

    async fn handshake<IO>(
        &self,
        io: IO,
        remote: Option<SocketAddr>,
        server_name: &mut String,
    ) -> Result<Accepted<IO>, (HandshakeError, Option<Arc<PeerIdentity>>)>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let start = LazyConfigAcceptor::new(Acceptor::default(), io).await;
        let start = start.map_err(|error| (explain(error), None))?;
        *server_name = start.client_hello().server_name().unwrap_or_default().to_owned();
        // Silent clients take no permit.
        let _permit = self.0.permits.acquire().await.expect("it is never closed");
        let check = self.0.verifier.as_ref().map(|verifier| Check::new(Arc::clone(verifier)));
        let library = self.0.library(check.clone()).expect("the same worked when it was loaded");
        let stream = start.into_stream(library).await;
        let identity = check.as_ref().and_then(|check| check.identity());
        let stream = stream.map_err(|error| {
            let refusal = check.and_then(|check| check.take_refusal());
            (refusal.unwrap_or_else(|| explain(error)), identity.clone())
        })?;
        if let (Some(lookups), Some(identity), Some(remote)) = (&self.0.lookups, &identity, remote) {
            let checked = remote::check(identity, remote.ip(), lookups).await;
            checked.map_err(|error| (error, Some(Arc::clone(identity))))?;
        }
        Ok(Accepted { stream, identity })
    }
}

impl Inner {
    /// What the TLS library is to do on one connection.
    fn library(&self, check: Option<Arc<Check>>) -> Result<Arc<rustls::ServerConfig>, Error> {
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_protocol_versions(&self.protocol.versions());
        let builder = builder.map_err(|error| Error::Settings(error.to_string()))?;
        let builder = match check {
            Some(check) => builder.with_client_cert_verifier(check),
            None => builder.with_no_client_auth(),
        };
        let mut library = builder.with_cert_resolver(Arc::clone(&self.certificate) as Arc<_>);
        library.alpn_protocols.clone_from(&self.alpn);
        // A resumed session would keep what was revoked meanwhile, and etcd's clients resume none.
        library.session_storage = Arc::new(NoServerSessionStorage {});
        library.send_tls13_tickets = 0;
        Ok(Arc::new(library))
    }
}

/// The certificate that every client gets.
#[derive(Debug)]
struct Shown(Reloader<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}
