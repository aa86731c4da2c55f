//! The flags of encryption, checked against the URLs.

use std::path::PathBuf;

use ferretcd_embed::{Listen, Port, PortSecurity, Security};
use ferretcd_flags::Settings;
use ferretcd_membership::{Scheme, Url};
use ferretcd_tls::{Allowed, KeyFiles, Protocol};

use super::check::tls_version;
use crate::diagnostic::{Diagnostic, SecurityDiagnostic};
use crate::error::ConfigError;

/// Whether certificates are restricted, and none is requested.
fn restricts_in_vain(security: &PortSecurity) -> bool {
    let is_restricted = security.allowed != Allowed::Anyone || security.revoked.is_some();
    is_restricted && !security.client_cert_auth && security.trusted_ca.is_none()
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

/// Checks the flags against the URLs. Files are not looked at.
pub(super) fn security(
    settings: &Settings,
    listen: &Listen,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Security, ConfigError> {
    let cipher_suites = settings.list("cipher-suites");
    let oldest = tls_version(&settings.text("tls-min-version"))?;
    let newest = tls_version(&settings.text("tls-max-version"))?;
    let protocol = Protocol::new(oldest, newest, &cipher_suites)?;
    if !protocol.unsupported().is_empty() {
        diagnostics.push(Diagnostic::Security(SecurityDiagnostic::SuitesUnsupported {
            names: protocol.unsupported().to_vec(),
        }));
    }
    let client = CLIENT.read(settings, listen.is_client_encrypted(), false, diagnostics)?;
    let check_remote = !settings.bool("peer-skip-client-san-verification");
    // Calls to other members have the files, too.
    let peer = PEER.read(settings, true, check_remote, diagnostics)?;
    let years = match settings.uint("self-signed-cert-validity") {
        0 if client.auto || peer.auto => return Err(ConfigError::SelfSignedValidity),
        years => years,
    };
    find_unused(Port::Peer, &peer, &listen.peer, diagnostics);
    find_unused(Port::Client, &client, &listen.client, diagnostics);
    find_unused(Port::Client, &client, &listen.client_http, diagnostics);
    let security = Security { client, peer, protocol, cipher_suites, self_signed_years: years };
    check_certificates(&security, listen)?;
    Ok(security)
}

/// Errs if a URL is to be encrypted without a certificate: serving it in the clear would be worse than not serving.
fn check_certificates(security: &Security, listen: &Listen) -> Result<(), ConfigError> {
    let asking = |urls: &[Url]| urls.iter().find(|url| url.scheme().is_tls()).map(Url::to_string);
    if let Some(url) = asking(&listen.peer).filter(|_| !security.peer.has_certificate()) {
        return Err(ConfigError::NoPeerCertificate(url));
    }
    if security.client.has_certificate() {
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

impl Flags {
    fn read(
        &self,
        settings: &Settings,
        is_used: bool,
        check_remote: bool,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Result<PortSecurity, ConfigError> {
        let path = |flag| Some(settings.text(flag)).filter(|path| !path.is_empty()).map(PathBuf::from);
        let allowed = Allowed::new(settings.list(self.allowed_cn), settings.list(self.allowed_hostname))?;
        // As in etcd, one file of two is an error only where both would be read.
        let pair = |is_used: bool, cert, key| match pair(settings, cert, key) {
            Err(_) if !is_used => Ok(None),
            pair => pair,
        };
        let files = pair(is_used, self.cert, self.key)?;
        let client_files = pair(is_used && files.is_some(), self.client_cert, self.client_key)?;
        let security = PortSecurity {
            files,
            client_files,
            client_cert_auth: settings.bool(self.client_cert_auth),
            trusted_ca: path(self.trusted_ca),
            revoked: path(self.revoked),
            allowed,
            check_remote,
            auto: settings.bool(self.auto),
        };
        let port = self.port;
        if security.files.is_some() && restricts_in_vain(&security) {
            diagnostics.push(Diagnostic::Security(SecurityDiagnostic::CertificateNotRequested {
                port,
                flag: self.client_cert_auth,
            }));
        }
        if !security.auto {
            return Ok(security);
        }
        if security.files.is_some() {
            diagnostics.push(Diagnostic::Security(SecurityDiagnostic::AutoTlsUnused { port }));
            return Ok(PortSecurity { auto: false, ..security });
        }
        if security.client_cert_auth || security.trusted_ca.is_some() || restricts_in_vain(&security) {
            diagnostics.push(Diagnostic::Security(SecurityDiagnostic::AutoTlsWithoutAuth { port }));
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

/// Adds a diagnostic for each URL that is served in the clear although there are files for encryption.
fn find_unused(port: Port, security: &PortSecurity, urls: &[Url], diagnostics: &mut Vec<Diagnostic>) {
    let is_clear = |url: &&Url| match port {
        Port::Client => !url.scheme().is_tls(),
        Port::Peer => url.scheme() == Scheme::Http,
    };
    for url in urls.iter().filter(is_clear) {
        if security.has_certificate() {
            diagnostics
                .push(Diagnostic::Security(SecurityDiagnostic::CertificateUnused { url: url.clone(), port }));
        }
        if security.client_cert_auth {
            diagnostics
                .push(Diagnostic::Security(SecurityDiagnostic::CertAuthUnused { url: url.clone(), port }));
        }
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_tls::Version;

    use super::*;
    use crate::config::translate::tests::{config, try_config};

    const HTTPS: [&str; 2] =
        ["--listen-client-urls=https://127.0.0.1:1", "--advertise-client-urls=https://h:1"];
    const FILES: [&str; 2] = ["--cert-file=c.pem", "--key-file=k.pem"];

    fn check_error(flags: &[&str], expected: &str) {
        assert_eq!(try_config(flags).unwrap_err().to_string(), expected, "{flags:?}");
    }

    fn check_diagnostic(flags: &[&str], expected: &SecurityDiagnostic) {
        let (_, diagnostics) = try_config(flags).unwrap();
        let expected = Diagnostic::Security(expected.clone());
        assert!(diagnostics.contains(&expected), "{flags:?}: {diagnostics:?}");
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
        let security = config(&[&HTTPS[..], &FILES].concat()).server.security;
        assert_eq!(security.client.files, Some(KeyFiles { cert: "c.pem".into(), key: "k.pem".into() }));
        assert!(config(&[&HTTPS[..], &["--auto-tls"]].concat()).server.security.client.auto);
        assert!(
            config(&["--listen-peer-urls=https://127.0.0.1:1", "--peer-auto-tls"]).server.security.peer.auto
        );
    }

    #[test]
    fn conflicting_settings_are_errors() {
        check_error(
            &[&HTTPS[..], &["--cert-file=c.pem"]].concat(),
            "--cert-file and --key-file must both be present [key: , cert: c.pem]",
        );
        check_error(
            &[&HTTPS[..], &FILES, &["--client-cert-file=c.pem"]].concat(),
            "--client-cert-file and --client-key-file must both be present [key: , cert: c.pem]",
        );
        check_error(
            &["--peer-key-file=k.pem"],
            "--peer-cert-file and --peer-key-file must both be present [key: k.pem, cert: ]",
        );
        check_error(
            &["--peer-cert-file=c.pem", "--peer-key-file=k.pem", "--peer-client-key-file=k.pem"],
            "--peer-client-cert-file and --peer-client-key-file must both be present [key: k.pem, cert: ]",
        );
        check_error(
            &["--peer-cert-allowed-cn=a", "--peer-cert-allowed-hostname=b,c"],
            "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\"], hostnames=[\"b\", \"c\"])",
        );
        check_error(&["--cipher-suites=TLS_MADE_UP"], "unexpected TLS cipher suite \"TLS_MADE_UP\"");
        check_error(
            &["--auto-tls", "--self-signed-cert-validity=0"],
            "selfSignedCertValidity is invalid,it should be greater than 0",
        );
    }

    #[test]
    fn files_that_are_not_read_may_be_anything() {
        for flags in [
            &["--cert-file=c.pem"][..],
            &["--client-key-file=k.pem"],
            &["--peer-client-cert-file=c.pem"],
            &["--listen-metrics-urls=http://127.0.0.1:1", "--key-file=k.pem"],
        ] {
            let security = config(flags).server.security;
            assert_eq!((security.client.files, security.peer.client_files), (None, None), "{flags:?}");
        }
    }

    #[test]
    fn unused_settings_are_diagnostics() {
        let plain = || url("http://localhost:2379");
        check_diagnostic(&FILES, &SecurityDiagnostic::CertificateUnused { url: plain(), port: Port::Client });
        check_diagnostic(
            &["--client-cert-auth"],
            &SecurityDiagnostic::CertAuthUnused { url: plain(), port: Port::Client },
        );
        let peer = SecurityDiagnostic::CertAuthUnused { url: url("http://localhost:2380"), port: Port::Peer };
        check_diagnostic(&["--peer-client-cert-auth"], &peer);
        check_diagnostic(
            &[&FILES[..], &["--auto-tls"]].concat(),
            &SecurityDiagnostic::AutoTlsUnused { port: Port::Client },
        );
        let flags = ["--peer-auto-tls", "--peer-trusted-ca-file=ca.pem"];
        check_diagnostic(&flags, &SecurityDiagnostic::AutoTlsWithoutAuth { port: Port::Peer });
        assert_eq!(config(&flags).server.security.peer.trusted_ca, None);
        let not_requested = |port, flag| SecurityDiagnostic::CertificateNotRequested { port, flag };
        for restriction in ["--client-cert-allowed-cn=a", "--client-crl-file=r.pem"] {
            let flags = [&FILES[..], &[restriction]].concat();
            let expected = not_requested(Port::Client, "client-cert-auth");
            check_diagnostic(&flags, &expected);
            let (_, diagnostics) = try_config(&[&flags[..], &["--trusted-ca-file=ca.pem"]].concat()).unwrap();
            assert!(!diagnostics.contains(&Diagnostic::Security(expected)), "{diagnostics:?}");
            check_diagnostic(
                &["--auto-tls", restriction],
                &SecurityDiagnostic::AutoTlsWithoutAuth { port: Port::Client },
            );
        }
        let flags = ["--peer-cert-file=c", "--peer-key-file=k", "--peer-cert-allowed-hostname=h"];
        check_diagnostic(&flags, &not_requested(Port::Peer, "peer-client-cert-auth"));
        let names = vec!["TLS_RSA_WITH_AES_128_CBC_SHA".to_owned()];
        check_diagnostic(
            &["--cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA"],
            &SecurityDiagnostic::SuitesUnsupported { names },
        );
    }

    #[test]
    fn names_and_versions() {
        let flags =
            ["--client-cert-allowed-cn=a,b", "--peer-cert-allowed-hostname=h", "--tls-min-version=TLS1.3"];
        let security = config(&flags).server.security;
        assert_eq!(security.client.allowed, Allowed::CommonNames(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(security.peer.allowed, Allowed::Hostnames(vec!["h".to_owned()]));
        assert!(security.peer.check_remote && !security.client.check_remote);
        assert!(!config(&["--peer-skip-client-san-verification"]).server.security.peer.check_remote);
        assert_eq!(tls_version("TLS1.3").unwrap(), Some(Version::Tls13));
    }
}
