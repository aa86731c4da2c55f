//! The certificates of a member, loaded.

use std::path::Path;

use ferretcd_discovery::Discovery;
use ferretcd_membership::{Scheme, Url};
use ferretcd_tls::{
    CertificateError, ClientConfig, ClientTls, KeyFiles, ServerConfig, ServerTls, Side, self_signed,
};
use tracing::info;

use crate::config::{Config, Port, PortSecurity, Security};

/// What a member encrypts with; `None` for connections in the clear.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// For the listeners of clients and metrics.
    pub(crate) client: Option<ServerTls>,
    /// For the listeners of other members.
    pub(crate) peer: Option<ServerTls>,
    /// For calls to other members.
    pub(crate) dial: Option<ClientTls>,
}

impl Certificates {
    /// Reads the files that are used, and makes the certificates that are to be made.
    ///
    /// As in etcd a port in the clear reads none of its files, and calls to other members, which may be encrypted any
    /// time, read those of the peer port.
    pub(crate) fn load(config: &Config) -> Result<Self, CertificateError> {
        let Security { client, peer, .. } = &config.security;
        let of_client = |error| CertificateError::new(error, &client.named_files(Port::Client));
        let of_peer = |error| CertificateError::new(error, &peer.named_files(Port::Peer));
        let client_hosts = hosts(config.listen.client.iter().chain(&config.listen.client_http));
        let client_files = files(config, client, Port::Client, &client_hosts).map_err(of_client)?;
        let peer_files =
            files(config, peer, Port::Peer, &hosts(config.listen.peer.iter())).map_err(of_peer)?;
        let server = |files: &Option<KeyFiles>, security, side| {
            files.clone().and_then(|files| server(config, files, security, side)).transpose()
        };
        Ok(Self {
            client: server(&client_files, client, Side::Client).map_err(of_client)?,
            peer: server(&peer_files, peer, Side::Peer).map_err(of_peer)?,
            dial: dial(config, peer_files).map_err(of_peer)?,
        })
    }
}

/// The hosts that a certificate made here is valid for.
fn hosts<'a>(urls: impl Iterator<Item = &'a Url>) -> Vec<String> {
    let mut hosts: Vec<String> =
        urls.filter(|url| !url.scheme().is_unix()).map(|url| url.host().to_owned()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// The certificate of a port, made if the configuration says so.
fn files(
    config: &Config,
    security: &PortSecurity,
    port: Port,
    hosts: &[String],
) -> Result<Option<KeyFiles>, ferretcd_tls::Error> {
    if !security.auto {
        return Ok(security.files.clone());
    }
    let dir = config.data_dir.join("fixtures").join(port.to_string());
    self_signed(&dir, hosts, config.security.self_signed_years).map(Some)
}

fn server(
    config: &Config,
    files: KeyFiles,
    security: &PortSecurity,
    side: Side,
) -> Option<Result<ServerTls, ferretcd_tls::Error>> {
    announce(config, &files, security, side);
    let is_encrypted = match side {
        Side::Client => config.listen.is_client_encrypted(),
        Side::Peer => config.listen.is_peer_encrypted(),
    };
    is_encrypted.then(|| {
        // Nothing shows this one, since clients are not called; etcd reads it all the same.
        security.client_files.as_ref().map_or(Ok(()), KeyFiles::check)?;
        let common = ServerConfig::new(files);
        ServerTls::load(ServerConfig {
            trusted_ca: security.trusted_ca.clone(),
            client_cert_auth: security.client_cert_auth,
            revoked: security.revoked.clone(),
            allowed: security.allowed.clone(),
            check_remote: security.check_remote,
            protocol: config.security.protocol.clone(),
            alpn: match side {
                Side::Client => common.alpn.clone(),
                // Members speak HTTP/1.1, and negotiate no protocol.
                Side::Peer => Vec::new(),
            },
            side,
            ..common
        })
    })
}

fn announce(config: &Config, files: &KeyFiles, security: &PortSecurity, side: Side) {
    let text = |path: Option<&Path>| path.unwrap_or(Path::new("")).display().to_string();
    let client_files = security.client_files.as_ref();
    let summary = format!(
        "cert = {}, key = {}, client-cert={}, client-key={}, trusted-ca = {}, client-cert-auth = {}, crl-file = {}",
        files.cert.display(),
        files.key.display(),
        text(client_files.map(|files| &*files.cert)),
        text(client_files.map(|files| &*files.key)),
        text(security.trusted_ca.as_deref()),
        security.client_cert_auth,
        text(security.revoked.as_deref()),
    );
    let suites = &config.security.cipher_suites;
    let message = match side {
        Side::Client => "starting with client TLS",
        Side::Peer => "starting with peer TLS",
    };
    info!("tls-info" = summary, "cipher-suites[]" = ?suites, "{message}");
}

/// For calls to other members: with the certificate of the peer port if there is no other for that.
fn dial(config: &Config, peer_files: Option<KeyFiles>) -> Result<Option<ClientTls>, ferretcd_tls::Error> {
    let security = &config.security.peer;
    let urls = config.cluster.initial_cluster.values().flatten().chain(&config.advertise.peer);
    let mut schemes = urls.map(Url::scheme);
    if peer_files.is_none() && security.trusted_ca.is_none() && !schemes.any(|scheme| scheme == Scheme::Https)
    {
        return Ok(None);
    }
    // Both are read, whichever is shown.
    peer_files.as_ref().filter(|_| security.client_files.is_some()).map_or(Ok(()), KeyFiles::check)?;
    let dial = ClientTls::load(ClientConfig {
        files: peer_files.map(|files| security.client_files.clone().unwrap_or(files)),
        trusted_ca: security.trusted_ca.clone(),
        allowed: security.allowed.clone(),
        server_name: srv_domain(config),
        // No authority has signed the certificates that members make for themselves.
        insecure_skip_verify: security.auto,
        protocol: config.security.protocol.clone(),
        ..ClientConfig::default()
    });
    dial.map(Some)
}

/// The one name that certificates of members found by SRV records have to have. With an authority in the configuration
/// they have to have the names of their hosts, as otherwise. etcd does this only at the first start.
fn srv_domain(config: &Config) -> Option<String> {
    match &config.cluster.discovery {
        Some(Discovery::Srv(records)) if config.security.peer.trusted_ca.is_none() => {
            Some(records.domain.trim_end_matches('.').to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    type At<'a> = &'a dyn Fn(&str) -> PathBuf;

    /// Loads the certificates of a member with these URLs to listen on, for which `change` names files in a directory with
    /// a certificate in `cert`, its key in `key` and nonsense in `bad`.
    fn load(scheme: &str, change: impl Fn(&mut Security, At<'_>)) -> Result<(), String> {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let made = self_signed(dir.path(), &["localhost".to_owned()], 1).expect("made");
        fs::rename(made.cert, at("cert")).and_then(|()| fs::rename(made.key, at("key"))).expect("renamed");
        fs::write(at("bad"), "nonsense").expect("written");
        let mut config = Config::new("a", dir.path());
        let url = Url::parse(&format!("{scheme}://127.0.0.1:1")).expect("a URL");
        config.listen.client = vec![url.clone()];
        config.listen.peer = vec![url];
        change(&mut config.security, &at);
        let loaded = Certificates::load(&config).map(drop).map_err(|error| error.to_string());
        loaded.map_err(|error| error.replace(dir.path().to_str().expect("a plain path"), "DIR"))
    }

    /// Checks the error for a member whose ports are encrypted.
    fn check(change: impl Fn(&mut Security, At<'_>), expected: &str) {
        let error = load("https", change).expect_err("a file is of no use");
        assert!(error.starts_with(expected), "{error}");
    }

    fn files(at: At<'_>, cert: &str, key: &str) -> Option<KeyFiles> {
        Some(KeyFiles { cert: at(cert), key: at(key) })
    }

    #[test]
    fn unusable_files_are_named_with_their_flags() {
        check(
            |security, at| security.client.files = files(at, "none", "key"),
            r#"--cert-file: read "DIR/none": No such file"#,
        );
        check(
            |security, at| security.client.files = files(at, "cert", "bad"),
            r#"--key-file: find a private key in "DIR/bad""#,
        );
        check(
            |security, at| security.peer.files = files(at, "bad", "key"),
            "--peer-cert-file: find a certificate",
        );
        // Where one file is used twice, both flags are named.
        check(
            |security, at| security.client.files = files(at, "bad", "bad"),
            "--cert-file, --key-file: find a certificate",
        );
    }

    #[test]
    fn unusable_authorities_are_named_with_their_flags() {
        check(
            |security, at| {
                security.client.files = files(at, "cert", "key");
                security.client.trusted_ca = Some(at("bad"));
            },
            "--trusted-ca-file: find a trusted authority",
        );
        check(
            |security, at| {
                security.peer.files = files(at, "cert", "key");
                security.peer.trusted_ca = Some(at("bad"));
            },
            "--peer-trusted-ca-file: find a trusted authority",
        );
        check(
            |security, at| {
                security.peer.files = files(at, "cert", "key");
                security.peer.trusted_ca = Some(at("cert"));
                security.peer.revoked = Some(at("bad"));
            },
            "--peer-crl-file: read the list of revoked certificates",
        );
    }

    #[test]
    fn files_count_where_etcd_reads_them() {
        /// `in_the_clear` is what is said without encryption, `encrypted` with it.
        fn check(
            change: impl Fn(&mut Security, At<'_>),
            in_the_clear: Option<&str>,
            encrypted: Option<&str>,
        ) {
            for (scheme, expected) in [("http", in_the_clear), ("https", encrypted)] {
                let error = load(scheme, &change).err();
                let is_expected = match (&error, expected) {
                    (Some(error), Some(flag)) => error.starts_with(flag),
                    (error, expected) => error.is_none() && expected.is_none(),
                };
                assert!(is_expected, "{scheme}: {error:?}, not {expected:?}");
            }
        }
        check(|security, at| security.client.files = files(at, "bad", "key"), None, Some("--cert-file: "));
        check(|security, at| security.client.files = files(at, "cert", "bad"), None, Some("--key-file: "));
        let client = |security: &mut Security, at: At<'_>| {
            security.client.files = files(at, "cert", "key");
            security.client.client_files = files(at, "bad", "key");
        };
        check(client, None, Some("--client-cert-file: "));
        let authority = |security: &mut Security, at: At<'_>| {
            security.client.files = files(at, "cert", "key");
            security.client.trusted_ca = Some(at("bad"));
        };
        check(authority, None, Some("--trusted-ca-file: "));
        let list_without_authority = |security: &mut Security, at: At<'_>| {
            security.client.files = files(at, "cert", "key");
            security.client.revoked = Some(at("bad"));
        };
        check(list_without_authority, None, None);
        let flag = Some("--peer-cert-file: ");
        check(|security, at| security.peer.files = files(at, "bad", "key"), flag, flag);
        let flag = Some("--peer-trusted-ca-file: ");
        check(|security, at| security.peer.trusted_ca = Some(at("bad")), flag, flag);
        let client = |security: &mut Security, at: At<'_>| {
            security.peer.files = files(at, "cert", "key");
            security.peer.client_files = files(at, "bad", "key");
        };
        let flag = Some("--peer-client-cert-file: ");
        check(client, flag, flag);
        check(|security, at| security.peer.client_files = files(at, "bad", "key"), None, None);
        let list = |security: &mut Security, at: At<'_>| {
            security.peer.files = files(at, "cert", "key");
            security.peer.trusted_ca = Some(at("cert"));
            security.peer.revoked = Some(at("bad"));
        };
        check(list, None, Some("--peer-crl-file: "));
    }
}
