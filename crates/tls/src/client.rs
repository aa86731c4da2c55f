//! The connecting end.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::allowed::Allowed;
use crate::error::Error;
use crate::files::{Authorities, KeyFiles};
use crate::protocol::Protocol;
use crate::rejected::{HandshakeError, explain};
use crate::reload::Reloader;
use crate::verifier::{Check, Verifier};
use crate::x509::Usage;

/// Which servers to trust, and which certificate to present. The default trusts the system's authorities and has no
/// certificate.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    /// The certificate for servers that request one.
    pub files: Option<KeyFiles>,
    /// The authorities that sign servers' certificates; `None` for those that the system trusts.
    pub trusted_ca: Option<PathBuf>,
    /// Which names the certificates of servers may have.
    pub allowed: Allowed,
    /// The name that servers have to prove, if it is another than the host that is dialled.
    pub server_name: Option<String>,
    /// Any certificate is accepted: the connection is encrypted, and may be with any server. With names in `allowed`,
    /// which such a certificate does not prove, none is.
    pub insecure_skip_verify: bool,
    /// Versions and cipher suites.
    pub protocol: Protocol,
    /// The protocols above TLS, the preferred one first; may be empty.
    pub alpn: Vec<Vec<u8>>,
}

/// A stream whose handshake is done.
pub type ClientStream<IO> = tokio_rustls::client::TlsStream<IO>;

/// Makes TLS connections. Clones are cheap and share everything.
#[derive(Clone)]
pub struct ClientTls {
    library: Arc<rustls::ClientConfig>,
    verifier: Arc<Verifier>,
    server_name: Option<String>,
}

/// Why a handshake with a server failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// That is neither a host name nor an address.
    #[error("prove the name of {0:?}: it is neither a host name nor an address")]
    Host(String),
    /// The server, or its certificate, is not as it should be.
    #[error("shake hands with {host}: {error}")]
    Handshake {
        /// The host that was dialled.
        host: String,
        /// Why.
        error: HandshakeError,
    },
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// Reads all files. Certificate and key are checked for changes in each handshake.
    ///
    /// # Errors
    /// When one of them can't be used.
    pub fn load(config: ClientConfig) -> Result<Self, Error> {
        let provider = config.protocol.provider();
        let authorities = match config.insecure_skip_verify {
            true => None,
            false => Some(Authorities::load(config.trusted_ca.as_deref())?),
        };
        let allowed = config.allowed;
        let verifier = Arc::new(Verifier { usage: Usage::Server, authorities, allowed, revoked: None });
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(&config.protocol.versions());
        let builder = builder.map_err(|error| Error::Settings(error.to_string()))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Check::new(Arc::clone(&verifier)));
        let mut library = match config.files {
            Some(files) => {
                let certificate = Reloader::new(files.paths(), move || files.load(&provider))?;
                builder.with_client_cert_resolver(Arc::new(Shown(certificate)))
            }
            None => builder.with_no_client_auth(),
        };
        library.alpn_protocols = config.alpn;
        // A server has to prove itself for each connection.
        library.resumption = Resumption::disabled();
        Ok(Self { library: Arc::new(library), verifier, server_name: config.server_name })
    }

    /// Does the handshake with a server that was reached as `host`, a name or an address without port. Takes as long
    /// as the server likes: callers bound it.
    ///
    /// # Errors
    /// When the server can't prove its name, does not accept the certificate, or speaks something else.
    pub async fn connect<IO>(&self, host: &str, io: IO) -> Result<ClientStream<IO>, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| ConnectError::Host(host.to_owned()))?;
        let check = Check::new(Arc::clone(&self.verifier));
        let mut library = rustls::ClientConfig::clone(&self.library);
        library.dangerous().set_certificate_verifier(Arc::clone(&check) as Arc<_>);
        let connected = TlsConnector::from(Arc::new(library)).connect(name, io).await;
        connected.map_err(|error: io::Error| ConnectError::Handshake {
            host: host.to_owned(),
            error: check.take_refusal().unwrap_or_else(|| explain(error)),
        })
    }

    /// The same with a server that was reached at the path of a Unix socket. The name that it has to prove is that of the
    /// file, up to a colon, as etcd's client has it.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_at<IO>(&self, path: &Path, io: IO) -> Result<ClientStream<IO>, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        self.connect(file.split(':').next().unwrap_or_default(), io).await
    }
}

/// The certificate for every server that requests one.
#[derive(Debug)]
struct Shown(Reloader<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _authorities: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
