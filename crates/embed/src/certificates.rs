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
    /// Reads all files, and makes the certificates that are to be made.
    pub(crate) fn load(config: &Config) -> Result<Self, CertificateError> {
        let Security { client, peer, .. } = &config.security;
        let of_client = |error| CertificateError::new(error, &client.named_files(Port::Client));
        let of_peer = |error| CertificateError::new(error, &peer.named_files(Port::Peer));
        let client_hosts = hosts(config.listen.client.iter().chain(&config.listen.client_http));
        let client_files = files(config, client, Port::Client, &client_hosts).map_err(of_client)?;
        let peer_files =
            files(config, peer, Port::Peer, &hosts(config.listen.peer.iter())).map_err(of_peer)?;
        let server = |files: &Option<KeyFiles>, security, side| {
            files.clone().map(|files| server(config, files, security, side)).transpose()
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
) -> Result<ServerTls, ferretcd_tls::Error> {
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
    let dial = ClientTls::load(ClientConfig {
        files: security.client_files.clone().or(peer_files),
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

    /// Checks the error for a member whose `client` and `peer` port have files by these names, in a directory with a
    /// certificate in `cert`, its key in `key` and nonsense in `bad`.
    fn check(change: impl Fn(&mut Security, &dyn Fn(&str) -> PathBuf), expected: &str) {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let made = self_signed(dir.path(), &["localhost".to_owned()], 1).expect("made");
        fs::rename(made.cert, at("cert")).and_then(|()| fs::rename(made.key, at("key"))).expect("renamed");
        fs::write(at("bad"), "nonsense").expect("written");
        let mut config = Config::new("a", dir.path());
        change(&mut config.security, &at);
        let error = Certificates::load(&config).expect_err("a file is of no use").to_string();
        let error = error.replace(dir.path().to_str().expect("a plain path"), "DIR");
        assert!(error.starts_with(expected), "{error}");
    }

    fn files(at: &dyn Fn(&str) -> PathBuf, cert: &str, key: &str) -> Option<KeyFiles> {
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
}
