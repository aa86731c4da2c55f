//! The rules of a configuration, in the order in which etcd tests them: with several mistakes, both report the same one.

use std::net::IpAddr;

use ferretcd_flags::Settings;
use ferretcd_membership::Url;
use ferretcd_tls::Version;

use super::compaction::auto_compaction;
use super::timing::raft;
use crate::diagnostic::Diagnostic;
use crate::error::ConfigError;

/// Checks every rule that needs no network. Pushes what is worth a log line.
pub(super) fn check(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Result<(), ConfigError> {
    diagnostics.extend(settings.ignored().map(|flag| Diagnostic::IgnoredFlag { name: flag.name }));
    diagnostics.extend(settings.retiring().map(|warning| Diagnostic::Retiring { warning }));
    diagnostics.extend(settings.without_effect().map(|flag| Diagnostic::NoEffect { name: flag.name }));
    let gates = settings.gates("feature-gates");
    diagnostics.extend(gates.without_effect().map(|gate| Diagnostic::GateWithoutEffect { name: gate.name }));
    if settings.text("discovery-fallback") == "proxy" {
        return Err(ConfigError::DiscoveryFallback);
    }
    check_urls(settings, diagnostics)?;
    check_cluster(settings)?;
    raft(settings).check()?;
    // The file replaces one list and leaves the other at its default; flags are expected to come as a pair.
    if settings.file().is_none()
        && settings.is_set("listen-client-urls")
        && !settings.is_set("advertise-client-urls")
    {
        return Err(ConfigError::AdvertiseClientUrlsUnset);
    }
    auto_compaction(&settings.text("auto-compaction-mode"), &settings.text("auto-compaction-retention"))?;
    check_tracing(settings)?;
    if gates.is_enabled("LeaseCheckpointPersist") && !gates.is_enabled("LeaseCheckpoint") {
        return Err(ConfigError::PersistWithoutCheckpoint);
    }
    let hash_check = settings.duration("compact-hash-check-time");
    if hash_check.0 <= 0 {
        return Err(ConfigError::CompactHashCheckTime(hash_check));
    }
    if settings.text("name") == "default" {
        diagnostics.push(Diagnostic::DefaultName);
    }
    check_tls(settings)?;
    if settings.int("max-learners") < 0 {
        return Err(ConfigError::MaxLearners);
    }
    Ok(())
}

fn check_urls(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Result<(), ConfigError> {
    check_bind(&settings.urls("listen-peer-urls"))?;
    check_bind(&settings.urls("listen-client-urls"))?;
    check_bind(&settings.urls("listen-client-http-urls"))?;
    if settings.urls("listen-client-http-urls").is_empty() {
        diagnostics.push(Diagnostic::SinglePort);
    }
    check_bind(&settings.urls("listen-metrics-urls"))?;
    check_advertised(settings, "initial-advertise-peer-urls", r#""host:port""#)?;
    let form = r#"in the format "host:port", "unix:/path/to/socket" or "unixs:/path/to/socket""#;
    check_advertised(settings, "advertise-client-urls", form)
}

/// A listener needs an address, not a name that may resolve to many. `localhost` is understood.
fn check_bind(urls: &[Url]) -> Result<(), ConfigError> {
    for url in urls {
        if !url.scheme().is_unix() && url.host() != "localhost" && url.host().parse::<IpAddr>().is_err() {
            return Err(ConfigError::BindHost(url.to_string()));
        }
    }
    Ok(())
}

fn check_advertised(settings: &Settings, flag: &'static str, form: &'static str) -> Result<(), ConfigError> {
    let urls = settings.urls(flag);
    match urls.iter().find(|url| !url.scheme().is_unix() && url.host().is_empty()) {
        Some(url) => Err(ConfigError::AdvertiseHost {
            flag,
            form,
            urls: urls.iter().map(Url::as_str).collect::<Vec<_>>().join(","),
            url: url.to_string(),
        }),
        None => Ok(()),
    }
}

fn check_cluster(settings: &Settings) -> Result<(), ConfigError> {
    let state = settings.text("initial-cluster-state");
    if !matches!(&*state, "new" | "existing" | "") {
        return Err(ConfigError::ClusterState(state));
    }
    let endpoints = !settings.list("discovery-endpoints").is_empty();
    let ways = [
        settings.is_set("initial-cluster") && !settings.text("initial-cluster").is_empty(),
        !settings.text("discovery-srv").is_empty(),
        endpoints,
    ];
    if ways.iter().filter(|way| **way).count() > 1 {
        return Err(ConfigError::BootstrapConflict);
    }
    if endpoints == settings.text("discovery-token").is_empty() {
        return Err(ConfigError::DiscoveryPair);
    }
    if settings.list("discovery-endpoints").iter().any(|endpoint| endpoint.trim().is_empty()) {
        return Err(ConfigError::DiscoveryEndpoint);
    }
    Ok(())
}

fn check_tracing(settings: &Settings) -> Result<(), ConfigError> {
    if !settings.bool("enable-distributed-tracing") {
        return Ok(());
    }
    match settings.int("distributed-tracing-sampling-rate") {
        ..0 => Err(ConfigError::TracingRate("positive")),
        0..=1_000_000 => Ok(()),
        _ => Err(ConfigError::TracingRate("less than 1000000")),
    }
}

fn check_tls(settings: &Settings) -> Result<(), ConfigError> {
    let (min, max) = (settings.text("tls-min-version"), settings.text("tls-max-version"));
    let (oldest, newest) = (tls_version(&min)?, tls_version(&max)?);
    if newest.is_some() && oldest > newest {
        return Err(ConfigError::TlsVersions { min, max });
    }
    if oldest == Some(Version::Tls13) && !settings.list("cipher-suites").is_empty() {
        return Err(ConfigError::CipherSuites);
    }
    Ok(())
}

/// `None` for an empty text.
pub(super) fn tls_version(text: &str) -> Result<Option<Version>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let version = Version::parse(text).ok_or_else(|| ConfigError::TlsVersion(text.to_owned()))?;
    Ok(Some(version))
}

#[cfg(test)]
mod tests {
    use crate::config::translate::tests::try_config;
    use crate::diagnostic::Diagnostic;

    fn check(flags: &[&str], expected: &str) {
        let error = try_config(flags).unwrap_err().to_string();
        assert_eq!(error, expected, "{flags:?}");
    }

    #[test]
    fn urls() {
        check(
            &["--listen-peer-urls=http://example.com:2380"],
            "expected IP in URL for binding (http://example.com:2380)",
        );
        check(&["--listen-metrics-urls=http://:1"], "expected IP in URL for binding (http://:1)");
        check(
            &["--initial-advertise-peer-urls=http://:2380,http://h:1"],
            "--initial-advertise-peer-urls \"http://:2380,http://h:1\" must be \"host:port\" \
             (unexpected empty host (http://:2380))",
        );
        check(
            &["--advertise-client-urls=http://:2380"],
            "--advertise-client-urls \"http://:2380\" must be in the format \"host:port\", \"unix:/path/to/socket\" or \
             \"unixs:/path/to/socket\" (unexpected empty host (http://:2380))",
        );
        check(
            &["--listen-client-urls=http://127.0.0.1:1"],
            "--advertise-client-urls is required when --listen-client-urls is set explicitly",
        );
        for host in ["localhost", "0.0.0.0", "[::]", "127.0.0.1"] {
            try_config(&[&format!("--listen-peer-urls=http://{host}:1")]).unwrap();
        }
        try_config(&["--listen-metrics-urls=unix://name.of.a.socket:1"]).unwrap();
    }

    #[test]
    fn cluster() {
        let conflict = "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \
                        \"discovery-endpoints\" or \"discovery-srv\"";
        check(&["--initial-cluster=a=http://h:1", "--discovery-srv=example.com"], conflict);
        check(&["--discovery-endpoints=h:1", "--discovery-srv=example.com"], conflict);
        let pair = "both --discovery-token and --discovery-endpoints must be set";
        check(&["--discovery-token=t"], pair);
        check(&["--discovery-endpoints=h:1"], pair);
        check(
            &["--discovery-endpoints=h:1, ", "--discovery-token=t"],
            "--discovery-endpoints must not contain empty endpoints",
        );
        check(
            &["--discovery-fallback=proxy"],
            "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"",
        );
        check(
            &["--initial-cluster=a=http://h"],
            "error setting up initial cluster: URL address does not have the form \"host:port\": http://h",
        );
    }

    #[test]
    fn timing() {
        check(&["--heartbeat-interval=0"], "--heartbeat-interval must be >0 (set to 0ms)");
        check(&["--election-timeout=0"], "--election-timeout must be >0 (set to 0ms)");
        check(
            &["--heartbeat-interval=201"],
            "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[201ms]",
        );
        check(
            &["--election-timeout=50001"],
            "--election-timeout[50001ms] is too long, and should be set less than 50000ms",
        );
        try_config(&["--heartbeat-interval=10000", "--election-timeout=50000"]).unwrap();
    }

    #[test]
    fn other_flags() {
        check(&["--max-learners=-1"], "membership: too many learner members in cluster");
        check(&["--auto-compaction-mode=x"], "unknown auto-compaction-mode \"x\"");
        check(&["--auto-compaction-mode="], "undefined auto-compaction-mode");
        check(&["--compact-hash-check-time=0"], "--compact-hash-check-time must be >0 (set to 0s)");
        check(&["--compact-hash-check-time=-1m"], "--compact-hash-check-time must be >0 (set to -1m0s)");
        check(
            &["--feature-gates=LeaseCheckpoint=false,LeaseCheckpointPersist=true"],
            "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint",
        );
        check(
            &["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
            "min version (TLS1.3) is greater than max version (TLS1.2)",
        );
        check(
            &["--tls-min-version=TLS1.1"],
            "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)",
        );
        check(
            &["--tls-min-version=TLS1.3", "--cipher-suites=A"],
            "cipher suites cannot be configured when only TLS1.3 is enabled",
        );
        check(
            &["--enable-distributed-tracing", "--distributed-tracing-sampling-rate=-1"],
            "distributed tracing configurition is not valid: (tracing sampling rate must be positive)",
        );
    }

    #[test]
    fn flags_without_effect_are_noted_if_they_differ_from_their_default() {
        let flags = ["--backend-bbolt-freelist-type=array", "--max-wals=5", "--force", "--name=a"];
        let (_, diagnostics) = try_config(&flags).unwrap();
        let expected = [
            Diagnostic::IgnoredFlag { name: "force" },
            Diagnostic::NoEffect { name: "backend-bbolt-freelist-type" },
            Diagnostic::SinglePort,
        ];
        assert_eq!(diagnostics[..3], expected);
    }

    #[test]
    fn flags_that_etcd_gives_up_and_gates_without_effect_are_noted_whenever_they_are_set() {
        let flags = [
            "--v2-deprecation=gone",
            "--max-snapshots=5",
            "--feature-gates=PriorityRequest=false,AllBeta=true",
        ];
        let (_, diagnostics) = try_config(&flags).unwrap();
        let expected = [
            Diagnostic::Retiring {
                warning: "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.",
            },
            Diagnostic::Retiring {
                warning: "--v2-deprecation is deprecated and scheduled for removal in v3.8. \
                          The default value is enforced, ignoring user input.",
            },
            Diagnostic::GateWithoutEffect { name: "FastLeaseKeepAlive" },
            Diagnostic::GateWithoutEffect { name: "PriorityRequest" },
            Diagnostic::GateWithoutEffect { name: "TxnModeWriteWithSharedBuffer" },
        ];
        assert_eq!(diagnostics[..5], expected);
    }
}
