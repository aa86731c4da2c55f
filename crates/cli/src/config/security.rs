//! Encryption of the two ports, and who may connect.

use std::fmt;
use std::path::PathBuf;

use ferretcd_flags::Settings;
use ferretcd_tls::{Allowed, KeyFiles, NamedFile, Protocol};

use super::check::tls_version;
use super::{Listen, Scheme, Url};
use crate::error::ConfigError;
use crate::notice::Notice;

/// Encryption, and who may connect.
#[derive(Clone, Debug)]
pub struct Security {
    /// The port for clients; metrics URLs have its settings, too.
    pub client: PortSecurity,
    /// The port for other members, and calls to them.
    pub peer: PortSecurity,
    /// Versions and cipher suites.
    pub protocol: Protocol,
    /// The cipher suites as they were given, for the log.
    pub cipher_suites: Vec<String>,
    /// Years that certificates made here last. Above zero where some are to be made.
    pub self_signed_years: u64,
}

/// Who connects to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Clients.
    Client,
    /// Other members.
    Peer,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Peer => "peer",
        })
    }
}

/// The security of one port.
#[derive(Clone, Debug)]
pub struct PortSecurity {
    /// What the port shows; `None` if nothing is encrypted, or if [`Self::auto`] makes it.
    pub files: Option<KeyFiles>,
    /// What is shown in calls to others; `None` for the same.
    pub client_files: Option<KeyFiles>,
    /// Nobody is served without a certificate, and its common name may stand for a user.
    pub client_cert_auth: bool,
    /// Whom to trust. With a file here nobody is served without a certificate.
    pub trusted_ca: Option<PathBuf>,
    /// Certificates that are not accepted any more.
    pub revoked: Option<PathBuf>,
    /// Which names certificates may have.
    pub allowed: Allowed,
    /// Whether the names in certificates are compared with where connections come from.
    pub check_remote: bool,
    /// A certificate is made in the data directory. It says nothing about who others are, so nobody asks them.
    pub auto: bool,
}

impl PortSecurity {
    /// Whether there is a certificate to encrypt with, or will be.
    pub fn has_certificate(&self) -> bool {
        self.files.is_some() || self.auto
    }

    /// The files of the port, each with the flag that names it.
    pub(crate) fn named_files(&self, port: Port) -> Vec<NamedFile<'_>> {
        let flags = match port {
            Port::Client => CLIENT,
            Port::Peer => PEER,
        };
        let mut named = Vec::new();
        named.extend(self.files.iter().flat_map(|files| files.named(flags.cert, flags.key)));
        let client_files = self.client_files.iter();
        named.extend(client_files.flat_map(|files| files.named(flags.client_cert, flags.client_key)));
        named.extend(self.trusted_ca.as_deref().map(|path| (flags.trusted_ca, path)));
        named.extend(self.revoked.as_deref().map(|path| (flags.revoked, path)));
        named
    }

    /// Whether it is said who may connect, and nobody is asked who they are.
    fn restricts_nobody(&self) -> bool {
        let is_restricted = self.allowed != Allowed::Anyone || self.revoked.is_some();
        is_restricted && !self.client_cert_auth && self.trusted_ca.is_none()
    }
}

/// The flags of a port.
struct Flags {
    port: Port,
    cert: &'static str,
    key: &'static str,
    client_cert: &'static str,
    client_key: &'static str,
    client_cert_auth: &'static str,
    trusted_ca: &'static str,
    revoked: &'static str,
    allowed_cn: &'static str,
    allowed_hostname: &'static str,
    auto: &'static str,
}

const CLIENT: Flags = Flags {
    port: Port::Client,
    cert: "cert-file",
    key: "key-file",
    client_cert: "client-cert-file",
    client_key: "client-key-file",
    client_cert_auth: "client-cert-auth",
    trusted_ca: "trusted-ca-file",
    revoked: "client-crl-file",
    allowed_cn: "client-cert-allowed-cn",
    allowed_hostname: "client-cert-allowed-hostname",
    auto: "auto-tls",
};

const PEER: Flags = Flags {
    port: Port::Peer,
    cert: "peer-cert-file",
    key: "peer-key-file",
    client_cert: "peer-client-cert-file",
    client_key: "peer-client-key-file",
    client_cert_auth: "peer-client-cert-auth",
    trusted_ca: "peer-trusted-ca-file",
    revoked: "peer-crl-file",
    allowed_cn: "peer-cert-allowed-cn",
    allowed_hostname: "peer-cert-allowed-hostname",
    auto: "peer-auto-tls",
};

impl Security {
    /// Checks the flags against the URLs. Files are not looked at.
    pub(super) fn new(
        settings: &Settings,
        listen: &Listen,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, ConfigError> {
        let cipher_suites = settings.list("cipher-suites");
        let oldest = tls_version(&settings.text("tls-min-version"))?;
        let newest = tls_version(&settings.text("tls-max-version"))?;
        let protocol = Protocol::new(oldest, newest, &cipher_suites)?;
        if !protocol.unsupported().is_empty() {
            notices.push(Notice::SuitesUnsupported { names: protocol.unsupported().to_vec() });
        }
        let client = CLIENT.read(settings, false, notices)?;
        let check_remote = !settings.bool("peer-skip-client-san-verification");
        let peer = PEER.read(settings, check_remote, notices)?;
        let years = match settings.uint("self-signed-cert-validity") {
            // A file that leaves the key out has zero in etcd.
            0 if settings.is_from_file() => 1,
            0 if client.auto || peer.auto => return Err(ConfigError::SelfSignedValidity),
            years => years,
        };
        note_unused(Port::Peer, &peer, &listen.peer, notices);
        note_unused(Port::Client, &client, &listen.client, notices);
        note_unused(Port::Client, &client, &listen.client_http, notices);
        let security = Self { client, peer, protocol, cipher_suites, self_signed_years: years };
        security.check_certificates(listen)?;
        Ok(security)
    }

    /// Serving in the clear where encryption was asked for would be worse than not serving.
    fn check_certificates(&self, listen: &Listen) -> Result<(), ConfigError> {
        let asking = |urls: &[Url]| urls.iter().find(|url| url.scheme().is_tls()).map(Url::to_string);
        if let Some(url) = asking(&listen.peer).filter(|_| !self.peer.has_certificate()) {
            return Err(ConfigError::NoPeerCertificate(url));
        }
        if self.client.has_certificate() {
            return Ok(());
        }
        if let Some(url) = asking(&listen.client).or_else(|| asking(&listen.client_http)) {
            return Err(ConfigError::NoClientCertificate(url));
        }
        match asking(&listen.metrics) {
            Some(_) => Err(ConfigError::NoMetricsCertificate),
            None => Ok(()),
        }
    }
}

impl Flags {
    fn read(
        &self,
        settings: &Settings,
        check_remote: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<PortSecurity, ConfigError> {
        let path = |flag| Some(settings.text(flag)).filter(|path| !path.is_empty()).map(PathBuf::from);
        let allowed = Allowed::new(settings.list(self.allowed_cn), settings.list(self.allowed_hostname))?;
        let security = PortSecurity {
            files: pair(settings, self.cert, self.key)?,
            client_files: pair(settings, self.client_cert, self.client_key)?,
            client_cert_auth: settings.bool(self.client_cert_auth),
            trusted_ca: path(self.trusted_ca),
            revoked: path(self.revoked),
            allowed,
            check_remote,
            auto: settings.bool(self.auto),
        };
        let port = self.port;
        if security.files.is_some() && security.restricts_nobody() {
            notices.push(Notice::NobodyAsked { port, flag: self.client_cert_auth });
        }
        if !security.auto {
            return Ok(security);
        }
        if security.files.is_some() {
            notices.push(Notice::AutoTlsUnused { port });
            return Ok(PortSecurity { auto: false, ..security });
        }
        if security.client_cert_auth || security.trusted_ca.is_some() || security.restricts_nobody() {
            notices.push(Notice::AutoTlsWithoutAuth { port });
        }
        Ok(PortSecurity {
            client_files: None,
            client_cert_auth: false,
            trusted_ca: None,
            revoked: None,
            allowed: Allowed::Anyone,
            ..security
        })
    }
}

/// Two files of which there is none or both.
pub(super) fn pair(
    settings: &Settings,
    cert_flag: &'static str,
    key_flag: &'static str,
) -> Result<Option<KeyFiles>, ConfigError> {
    let (cert, key) = (settings.text(cert_flag), settings.text(key_flag));
    match (cert.is_empty(), key.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(KeyFiles { cert: cert.into(), key: key.into() })),
        _ => Err(ConfigError::HalfCertificate { cert_flag, key_flag, cert, key }),
    }
}

/// Notes that a URL is served in the clear although there are files for something else.
fn note_unused(port: Port, security: &PortSecurity, urls: &[Url], notices: &mut Vec<Notice>) {
    let is_clear = |url: &&Url| match port {
        Port::Client => !url.scheme().is_tls(),
        Port::Peer => url.scheme() == Scheme::Http,
    };
    for url in urls.iter().filter(is_clear) {
        if security.has_certificate() {
            notices.push(Notice::CertificateUnused { url: url.clone(), port });
        }
        if security.client_cert_auth {
            notices.push(Notice::CertAuthUnused { url: url.clone(), port });
        }
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_tls::Version;

    use super::*;
    use crate::config::build::tests::{config, try_config};

    const HTTPS: [&str; 2] =
        ["--listen-client-urls=https://127.0.0.1:1", "--advertise-client-urls=https://h:1"];
    const FILES: [&str; 2] = ["--cert-file=c.pem", "--key-file=k.pem"];

    fn check_error(flags: &[&str], expected: &str) {
        assert_eq!(try_config(flags).unwrap_err().to_string(), expected, "{flags:?}");
    }

    fn check_notice(flags: &[&str], expected: &Notice) {
        let (_, notices) = try_config(flags).unwrap();
        assert!(notices.contains(expected), "{flags:?}: {notices:?}");
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn encryption_needs_a_certificate() {
        check_error(
            &HTTPS,
            "TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:1 with HTTPS \
             scheme",
        );
        check_error(
            &["--listen-metrics-urls=https://127.0.0.1:1"],
            "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url",
        );
        check_error(
            &["--listen-peer-urls=https://127.0.0.1:1"],
            "TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for peer url https://127.0.0.1:1 with \
             HTTPS scheme",
        );
        let security = config(&[&HTTPS[..], &FILES].concat()).security;
        assert_eq!(security.client.files, Some(KeyFiles { cert: "c.pem".into(), key: "k.pem".into() }));
        assert!(config(&[&HTTPS[..], &["--auto-tls"]].concat()).security.client.auto);
        assert!(config(&["--listen-peer-urls=https://127.0.0.1:1", "--peer-auto-tls"]).security.peer.auto);
    }

    #[test]
    fn what_does_not_go_together() {
        check_error(
            &["--cert-file=c.pem"],
            "--cert-file and --key-file must both be present [key: , cert: c.pem]",
        );
        check_error(
            &["--peer-client-key-file=k.pem"],
            "--peer-client-cert-file and --peer-client-key-file must both be present [key: k.pem, cert: ]",
        );
        check_error(
            &["--peer-cert-allowed-cn=a", "--peer-cert-allowed-hostname=b,c"],
            "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\"], hostnames=[\"b\", \"c\"])",
        );
        check_error(&["--cipher-suites=TLS_MADE_UP"], "unexpected TLS cipher suite \"TLS_MADE_UP\"");
        check_error(
            &["--auto-tls", "--self-signed-cert-validity=0"],
            "--self-signed-cert-validity must be greater than 0",
        );
    }

    #[test]
    fn what_is_not_used_is_noted() {
        let plain = || url("http://localhost:2379");
        check_notice(&FILES, &Notice::CertificateUnused { url: plain(), port: Port::Client });
        check_notice(&["--client-cert-auth"], &Notice::CertAuthUnused { url: plain(), port: Port::Client });
        let peer = Notice::CertAuthUnused { url: url("http://localhost:2380"), port: Port::Peer };
        check_notice(&["--peer-client-cert-auth"], &peer);
        check_notice(&[&FILES[..], &["--auto-tls"]].concat(), &Notice::AutoTlsUnused { port: Port::Client });
        let flags = ["--peer-auto-tls", "--peer-trusted-ca-file=ca.pem"];
        check_notice(&flags, &Notice::AutoTlsWithoutAuth { port: Port::Peer });
        assert_eq!(config(&flags).security.peer.trusted_ca, None);
        let nobody_asked = |port, flag| Notice::NobodyAsked { port, flag };
        for restriction in ["--client-cert-allowed-cn=a", "--client-crl-file=r.pem"] {
            let flags = [&FILES[..], &[restriction]].concat();
            let expected = nobody_asked(Port::Client, "client-cert-auth");
            check_notice(&flags, &expected);
            let (_, notices) = try_config(&[&flags[..], &["--trusted-ca-file=ca.pem"]].concat()).unwrap();
            assert!(!notices.contains(&expected), "{notices:?}");
            check_notice(&["--auto-tls", restriction], &Notice::AutoTlsWithoutAuth { port: Port::Client });
        }
        let flags = ["--peer-cert-file=c", "--peer-key-file=k", "--peer-cert-allowed-hostname=h"];
        check_notice(&flags, &nobody_asked(Port::Peer, "peer-client-cert-auth"));
        let names = vec!["TLS_RSA_WITH_AES_128_CBC_SHA".to_owned()];
        check_notice(&["--cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA"], &Notice::SuitesUnsupported { names });
    }

    #[test]
    fn names_and_versions() {
        let flags =
            ["--client-cert-allowed-cn=a,b", "--peer-cert-allowed-hostname=h", "--tls-min-version=TLS1.3"];
        let security = config(&flags).security;
        assert_eq!(security.client.allowed, Allowed::CommonNames(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(security.peer.allowed, Allowed::Hostnames(vec!["h".to_owned()]));
        assert!(security.peer.check_remote && !security.client.check_remote);
        assert!(!config(&["--peer-skip-client-san-verification"]).security.peer.check_remote);
        assert_eq!(tls_version("TLS1.3").unwrap(), Some(Version::Tls13));
    }
}
