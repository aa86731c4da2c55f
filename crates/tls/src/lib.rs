//! Certificates: the identity of the other side of a connection, and encryption.
//!
//! Everything is in etcd's terms: files in PEM, a list of revoked certificates, names that certificates may
//! have, cipher suites by their names in Go. The crate takes and makes streams; it opens no socket, and gives no
//! rights to a certificate's name.
//!
//! * [`ServerTls`], from a [`ServerConfig`]: accepts the handshake on a stream and finds the [`PeerIdentity`] of the client.
//! * [`ClientTls`], from a [`ClientConfig`]: the other end.
//! * [`Reloader`]: the newest version of what is in some files.
//! * [`self_signed`]: a certificate made here, for encryption without an authority.
//!
//! Certificates are verified by the rules of Go, whose library etcd uses, and rejected with its words.
//!
//! Invariants:
//!
//! * Certificate, key and list of revoked certificates are checked for changes in each handshake, so that they can be
//!   exchanged under a running server. A new version that can't be used is logged, and the old one stays in force.
//!   The authorities are those of the start; whether they are still good is judged in each handshake.
//! * Nothing is kept from one connection to the next: every connection has its certificate checked.
//! * A certificate that does not pass has its connection ended, with the reason in a [`Rejected`].
//! * Bytes of a file or of the network never panic.
//!
//! ```
//! use ferretcd_tls::{Allowed, ClientConfig, ClientTls, Protocol, ServerConfig, ServerTls, self_signed};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let dir = tempfile::tempdir()?;
//! let files = self_signed(dir.path(), &["localhost".to_owned()], 1)?;
//! let server = ServerTls::load(ServerConfig::new(files.clone()))?;
//! let client = ClientTls::load(ClientConfig { trusted_ca: Some(files.cert), ..ClientConfig::default() })?;
//!
//! let (near, far) = tokio::io::duplex(64 * 1024);
//! let remote = std::net::SocketAddr::from(([127, 0, 0, 1], 40000));
//! let (accepted, connected) = tokio::join!(server.accept(far, remote), client.connect("localhost", near));
//! assert!(accepted?.identity.is_none(), "the server requests no certificate");
//! connected?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod server;

mod auto;
mod files;
mod pem;
mod reload;

mod allowed;
mod identity;
mod remote;
mod revoked;
mod verifier;
mod x509;

mod error;
mod named;
mod protocol;
mod rejected;

pub use allowed::Allowed;
pub use auto::self_signed;
pub use client::{ClientConfig, ClientStream, ClientTls, ConnectError};
pub use error::Error;
pub use files::KeyFiles;
pub use identity::PeerIdentity;
pub use named::{CertificateError, NamedFile};
pub use protocol::{Protocol, ProtocolError, Version};
pub use rejected::{HandshakeError, Rejected, Remote, Side};
pub use reload::Reloader;
pub use server::{Accepted, ServerConfig, ServerStream, ServerTls};
