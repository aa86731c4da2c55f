//! The certificates of a member, loaded.

use std::path::Path;

use ferretcd_tls::{
    CertificateError, ClientConfig, ClientTls, KeyFiles, ServerConfig, ServerTls, Side, self_signed,
};
use tracing::info;

use crate::config::{Config, Discovery, Port, PortSecurity, Scheme, Security, Url};

/// What a member encrypts with. Nothing where everything is in the clear.
#[derive(Debug)]
pub(crate) struct Secured {
    /// For the listeners of clients and metrics.
    pub(crate) client: Option<ServerTls>,
    /// For the listeners of other members.
    pub(crate) peer: Option<ServerTls>,
    /// For calls to other members.
    pub(crate) dial: Option<ClientTls>,
}

impl Secured {
    /// Reads all files, and makes those that are to be made.
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

/// The hosts that a certificate made here is for.
fn hosts<'a>(urls: impl Iterator<Item = &'a Url>) -> Vec<String> {
    let mut hosts: Vec<String> =
        urls.filter(|url| !url.scheme().is_unix()).map(|url| url.host().to_owned()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// The files that a port shows, made if that was asked for.
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
            // Members talk by HTTP/1.1, and say nothing of it beforehand.
            Side::Peer => Vec::new(),
        },
        side,
        ..common
    })
}

/// For calls to other members: with the port's own certificate if it has no other for that.
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
        // Certificates that members make for themselves prove nothing to each other.
        insecure_skip_verify: security.auto,
        protocol: config.security.protocol.clone(),
        ..ClientConfig::default()
    });
    dial.map(Some)
}

/// The one name that certificates of members found by SRV records have to have. With an authority of their own they
/// have to have the names of their hosts, as everywhere. etcd does this at the first start alone.
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
    use std::ffi::OsString;
    use std::fs;

    use ferretcd_flags::{Command, parse_command_line};

    use super::*;
    use crate::config::build;

    /// What is said when a member is started with the flags; `DIR` in them and in the text is a directory with a
    /// certificate in `cert`, its key in `key` and nonsense in `bad`.
    fn refused(flags: &[&str]) -> String {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let made = self_signed(dir.path(), &["localhost".to_owned()], 1).expect("made");
        fs::rename(made.cert, at("cert")).and_then(|()| fs::rename(made.key, at("key"))).expect("renamed");
        fs::write(at("bad"), "nonsense").expect("written");
        let path = dir.path().to_str().expect("a plain path");
        let flags = flags.iter().map(|flag| OsString::from(flag.replace("DIR", path)));
        let Ok(Command::Run(settings, None)) = parse_command_line(flags) else { panic!("they are flags") };
        let config = build(&settings, || None, &mut Vec::new()).expect("files are not looked at");
        Secured::load(&config).expect_err("refused").to_string().replace(path, "DIR")
    }

    fn check(flags: &[&str], expected: &str) {
        let error = refused(flags);
        assert!(error.starts_with(expected), "{flags:?}: {error}");
    }

    #[test]
    fn files_that_are_no_use_are_named_with_their_flags() {
        let (client, peer) = (
            ["--cert-file=DIR/cert", "--key-file=DIR/key"],
            ["--peer-cert-file=DIR/cert", "--peer-key-file=DIR/key"],
        );
        check(
            &["--cert-file=DIR/none", "--key-file=DIR/key"],
            r#"--cert-file: read "DIR/none": No such file"#,
        );
        check(
            &["--cert-file=DIR/cert", "--key-file=DIR/bad"],
            r#"--key-file: find a private key in "DIR/bad""#,
        );
        check(
            &["--peer-cert-file=DIR/bad", "--peer-key-file=DIR/key"],
            "--peer-cert-file: find a certificate",
        );
        let with = |flags: [&'static str; 2], more: &'static str| [flags[0], flags[1], more];
        check(&with(client, "--trusted-ca-file=DIR/bad"), "--trusted-ca-file: find a trusted authority");
        check(
            &with(peer, "--peer-trusted-ca-file=DIR/bad"),
            "--peer-trusted-ca-file: find a trusted authority",
        );
        let mut revoked = with(peer, "--peer-crl-file=DIR/bad").to_vec();
        revoked.push("--peer-trusted-ca-file=DIR/cert");
        check(&revoked, "--peer-crl-file: read the list of revoked certificates");
        // Where one file is for two things, both are named.
        check(&["--cert-file=DIR/bad", "--key-file=DIR/bad"], "--cert-file, --key-file: find a certificate");
    }
}
