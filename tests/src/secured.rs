//! A server with TLS for its clients.

use std::net::{Ipv4Addr, TcpListener};

use ferretcd_client::Config;
use ferretcd_testkit::certificates::{Authority, Files};
use ferretcd_tls::{ClientConfig, ClientTls, KeyFiles};

use crate::{Caller, Cluster, Options, StartError, report};

/// Starts with another port when another process has taken this one.
const PORT_ATTEMPTS: usize = 5;

/// Starts a server with an `https` client URL besides `flags`, and returns the port of that URL.
pub async fn start_secured<C: Cluster>(flags: &[String]) -> Result<(C, u16), StartError> {
    for attempt in 1.. {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let url = format!("https://127.0.0.1:{port}");
        let urls = [format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")];
        match C::start(&Options { flags: [&urls[..], flags].concat() }).await {
            Ok(server) => return Ok((server, port)),
            Err(StartError::Exited { logs, .. })
                if logs.to_ascii_lowercase().contains("address already in use")
                    && attempt < PORT_ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("the last attempt returns")
}

/// A server with TLS, and the authority behind its certificate.
#[derive(Debug)]
pub struct Secured<C> {
    _server: C,
    port: u16,
    authority: Authority,
}

impl<C: Cluster> Secured<C> {
    /// Starts a server that takes clients with any certificate and without one. `None` if the target is not available
    /// on this machine, which is reported: `what` is skipped.
    pub async fn start(what: &str, flags: &[&str]) -> Option<Self> {
        Self::start_with(Authority::new(), what, flags).await
    }

    /// Starts a server that takes only clients with a certificate of the authority.
    pub async fn start_trusting(what: &str, flags: &[&str]) -> Option<Self> {
        let authority = Authority::new();
        let trusted = authority.trusted();
        let trusted = trusted.iter().map(String::as_str);
        let flags: Vec<_> = flags.iter().copied().chain(trusted).collect();
        Self::start_with(authority, what, &flags).await
    }

    async fn start_with(authority: Authority, what: &str, flags: &[&str]) -> Option<Self> {
        if !report::available::<C>(what) {
            return None;
        }
        let server = authority.sign("server", &["127.0.0.1"], 1);
        let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let flags = [&server.flags()[..], &flags].concat();
        let (server, port) = start_secured(&flags).await.unwrap_or_else(|error| panic!("failed to {error}"));
        Some(Self { _server: server, port, authority })
    }

    /// Of its client URL.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// For connections with this protocol, and a certificate of this common name if there is one.
    pub fn tls(&self, protocol: &str, common_name: Option<&str>) -> ClientTls {
        let files = common_name.map(|name| {
            let Files { cert, key } = self.authority.sign(name, &[], 2);
            KeyFiles { cert, key }
        });
        let config = ClientConfig {
            files,
            trusted_ca: Some(self.authority.certificate()),
            alpn: vec![protocol.as_bytes().to_vec()],
            ..ClientConfig::default()
        };
        ClientTls::load(config).expect("the files are good")
    }

    /// A client with a certificate of this common name.
    pub fn named(&self, common_name: &str) -> Caller {
        let tls = Some(self.tls("h2", Some(common_name)));
        Caller::with_config(Config { tls, ..Config::new([format!("https://127.0.0.1:{}", self.port)]) })
    }
}
