//! The flags that say how a member finds its cluster at its first start.

use std::path::PathBuf;

use ferretcd_discovery::{Credentials, Discovery, Registry, RegistryTls, SrvRecords};
use ferretcd_flags::Settings;

use super::security::pair;
use crate::error::ConfigError;

const CERT: &str = "discovery-cert";
const KEY: &str = "discovery-key";
const AUTHORITY: &str = "discovery-cacert";

/// The way to the founders. The flags have been checked. `None` if the initial cluster is given, or follows name and URLs.
pub(super) fn discovery(settings: &Settings) -> Result<Option<Discovery>, ConfigError> {
    let domain = settings.text("discovery-srv");
    if !domain.is_empty() {
        return Ok(Some(Discovery::Srv(SrvRecords {
            domain,
            service_name: settings.text("discovery-srv-name"),
        })));
    }
    let endpoints = settings.list("discovery-endpoints");
    if endpoints.is_empty() {
        return Ok(None);
    }
    let span = |flag| settings.duration(flag).at_least_zero();
    Ok(Some(Discovery::Registry(Registry {
        endpoints: endpoints.iter().map(|endpoint| endpoint.trim().to_owned()).collect(),
        token: settings.text("discovery-token"),
        dial_timeout: span("discovery-dial-timeout"),
        request_timeout: span("discovery-request-timeout"),
        keepalive_interval: Some(span("discovery-keepalive-time")).filter(|time| !time.is_zero()),
        keepalive_timeout: span("discovery-keepalive-timeout"),
        tls: registry_tls(settings)?,
        credentials: credentials(settings),
    })))
}

/// Any flag of TLS turns it on, as in etcd, where the flag against it is on unless it is turned off.
fn registry_tls(settings: &Settings) -> Result<Option<RegistryTls>, ConfigError> {
    let tls = RegistryTls {
        files: pair(settings, CERT, KEY)?,
        trusted_ca: Some(settings.text(AUTHORITY)).filter(|path| !path.is_empty()).map(PathBuf::from),
        insecure_skip_verify: settings.bool("discovery-insecure-skip-tls-verify"),
    };
    let wanted = tls != RegistryTls::default() || !settings.bool("discovery-insecure-transport");
    Ok(wanted.then_some(tls))
}

/// A user without a password counts as none, as in etcd.
fn credentials(settings: &Settings) -> Option<Credentials> {
    let (mut user, mut password) = (settings.text("discovery-user"), settings.text("discovery-password"));
    if password.is_empty() {
        (user, password) =
            user.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))?;
    }
    (!user.is_empty() && !password.is_empty()).then_some(Credentials { user, password })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::translate::tests::{config, try_config};

    const REGISTRY: [&str; 2] = ["--discovery-endpoints=h:1,http://i:2", "--discovery-token=t"];

    fn registry(more: &[&str]) -> Registry {
        match config(&[&REGISTRY[..], more].concat()).server.cluster.discovery {
            Some(Discovery::Registry(registry)) => registry,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_domain() {
        let flags = ["--name=a", "--discovery-srv=example.com", "--discovery-srv-name=x"];
        let cluster = config(&flags).server.cluster;
        let Some(Discovery::Srv(records)) = cluster.discovery else { panic!("{cluster:?}") };
        assert_eq!(records, SrvRecords { domain: "example.com".to_owned(), service_name: "x".to_owned() });
        assert!(cluster.initial_cluster.is_empty());
        assert!(config(&["--name=a"]).server.cluster.discovery.is_none());
    }

    #[test]
    fn a_registry_knows_at_first_this_member_alone() {
        let flags = ["--name=a", "--initial-advertise-peer-urls=http://h:3,http://h:2"];
        let cluster = config(&[&REGISTRY[..], &flags].concat()).server.cluster;
        assert_eq!(cluster.initial_cluster_text(), "a=http://h:2,a=http://h:3");
        assert_eq!(cluster.token, "t");
        let registry = registry(&["--discovery-keepalive-time=0"]);
        assert_eq!(registry.endpoints, ["h:1", "http://i:2"]);
        assert_eq!(
            (registry.dial_timeout, registry.request_timeout),
            (Duration::from_secs(2), Duration::from_secs(5))
        );
        assert_eq!((registry.keepalive_interval, registry.keepalive_timeout), (None, Duration::from_secs(6)));
        assert_eq!(registry.tls, None);
    }

    #[test]
    fn flags_that_turn_encryption_on() {
        let check = |flags: &[&str], expected: RegistryTls| {
            assert_eq!(registry(flags).tls, Some(expected), "{flags:?}");
        };
        check(&["--discovery-insecure-transport=false"], RegistryTls::default());
        check(
            &["--discovery-insecure-skip-tls-verify"],
            RegistryTls { insecure_skip_verify: true, ..RegistryTls::default() },
        );
        check(
            &["--discovery-cacert=ca.pem"],
            RegistryTls { trusted_ca: Some("ca.pem".into()), ..RegistryTls::default() },
        );
        let files = ["--discovery-cert=c.pem", "--discovery-key=k.pem", "--discovery-cacert=ca.pem"];
        let named: Vec<_> = files.iter().map(|flag| flag[2..].split_once('=').expect("a value")).collect();
        let tls = registry(&files).tls.expect("it was asked for");
        let found = tls.named_files().into_iter().map(|(flag, path)| (flag, path.to_str().expect("text")));
        assert_eq!(found.collect::<Vec<_>>(), named);
        let error =
            try_config(&[&REGISTRY[..], &["--discovery-cert=c.pem"]].concat()).unwrap_err().to_string();
        assert_eq!(error, "--discovery-cert and --discovery-key must both be present [key: , cert: c.pem]");
    }

    #[test]
    fn passwords_are_not_printed() {
        let check = |flags: &[&str], expected: Option<(&str, &str)>| {
            let credentials = registry(flags).credentials;
            assert!(!format!("{credentials:?}").contains("secret"), "{flags:?}");
            let pair = credentials.as_ref().map(|it| (&*it.user, &*it.password));
            assert_eq!(pair, expected, "{flags:?}");
        };
        check(&[], None);
        check(&["--discovery-user=u", "--discovery-password=secret"], Some(("u", "secret")));
        check(&["--discovery-user=u:secret:1"], Some(("u", "secret:1")));
        check(&["--discovery-user=u:v", "--discovery-password=secret"], Some(("u:v", "secret")));
        check(&["--discovery-user=u"], None);
        check(&["--discovery-password=secret"], None);
    }
}
