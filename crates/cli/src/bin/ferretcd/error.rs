//! Errors of the configuration.

use ferretcd_embed::{TimingError, TokenSpecError};
use ferretcd_flags::{DurationError, LoadError, Nanos};
use ferretcd_logging::OpenError;
use ferretcd_membership::UrlError;

/// A configuration that the server rejects; the exit status is 1.
///
/// The texts are part of the interface: people and tools know them from etcd, so they are not fragments in this
/// project's usual form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Environment or configuration file can't be used.
    #[error(transparent)]
    Load(#[from] LoadError),

    /// `--logger=capnslog`, of etcd 3.4.
    #[error("--logger=capnslog is removed in v3.5")]
    LoggerRemoved,
    /// `--logger` is not `zap`.
    #[error("unknown logger option {0:?}")]
    Logger(String),
    /// `--log-level` is not a level.
    #[error("unrecognized level: {0:?}, supported values debug, info, warn, error, panic, fatal")]
    LogLevel(String),
    /// `--log-format` is not a format.
    #[error("unknown log format: {0}, supported values json, console")]
    LogFormat(String),
    /// `default` stands beside other log outputs.
    #[error("multi logoutput for \"default\" is not supported yet")]
    LogOutputs,
    /// A log file can't be opened.
    #[error(transparent)]
    LogOutput(#[from] OpenError),
    /// Log rotation is on with no file, or with more than one.
    #[error("--log-outputs requires a single file path when --log-rotate-config-json is defined")]
    LogRotationOutput,
    /// `--log-rotation-config-json` is not JSON.
    #[error("improperly formatted log rotation config: {0}")]
    LogRotationSyntax(serde_json::Error),
    /// `--log-rotation-config-json` has a value of another type.
    #[error("invalid log rotation config: {0}")]
    LogRotationType(serde_json::Error),

    /// A listen URL has a name for a host.
    #[error("expected IP in URL for binding ({0})")]
    BindHost(String),
    /// A client URL is `https`, and there is no certificate.
    #[error("TLS key/cert (--cert-file, --key-file) must be provided for client url {0} with HTTPS scheme")]
    NoClientCertificate(String),
    /// A metrics URL is `https`, and there is no certificate.
    #[error("client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url")]
    NoMetricsCertificate,
    /// A peer URL is `https`, and there is no certificate.
    #[error(
        "TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for peer url {0} with HTTPS scheme"
    )]
    NoPeerCertificate(String),
    /// A certificate is given and its key is not, or the other way round.
    #[error("--{cert_flag} and --{key_flag} must both be present [key: {key}, cert: {cert}]")]
    HalfCertificate {
        /// The flag of the certificate.
        cert_flag: &'static str,
        /// The flag of its key.
        key_flag: &'static str,
        /// The certificate's file, or nothing.
        cert: String,
        /// The key's file, or nothing.
        key: String,
    },
    /// Certificates are to be made here that last no time.
    #[error("selfSignedCertValidity is invalid,it should be greater than 0")]
    SelfSignedValidity,
    /// Names that certificates may have are given in two ways.
    #[error(transparent)]
    Certificates(#[from] ferretcd_tls::Error),
    /// Cipher suites that do not exist, or none that is left.
    #[error(transparent)]
    Suites(#[from] ferretcd_tls::ProtocolError),
    /// `auth-token` names no kind of tokens, or wrong options.
    #[error(transparent)]
    Tokens(#[from] TokenSpecError),
    /// The time that tokens live is no time.
    #[error("read --auth-token: ttl {0:?} is no duration above zero; write it as 10m or 300s")]
    TokenTtl(String),
    /// An advertised URL has no host.
    #[error("--{flag} {urls:?} must be {form} (unexpected empty host ({url}))")]
    AdvertiseHost {
        /// The flag.
        flag: &'static str,
        /// What its URLs have to be.
        form: &'static str,
        /// Its value.
        urls: String,
        /// The URL without a host.
        url: String,
    },
    /// More than one way to find the cluster is given.
    #[error(
        "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \
         \"discovery-endpoints\" or \"discovery-srv\""
    )]
    BootstrapConflict,
    /// `initial-cluster-state` is neither `new` nor `existing`.
    #[error("unexpected clusterState {0:?}")]
    ClusterState(String),
    /// `ui` in a file is none of its values.
    #[error("ui can't be {0:?}; write loopback, all or none")]
    Ui(String),
    /// Only one of the two discovery flags is given.
    #[error("both --discovery-token and --discovery-endpoints must be set")]
    DiscoveryPair,
    /// An endpoint of discovery is missing between two commas.
    #[error("--discovery-endpoints must not contain empty endpoints")]
    DiscoveryEndpoint,
    /// `--discovery-fallback=proxy`, of etcd 2.
    #[error("v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"")]
    DiscoveryFallback,
    /// `initial-cluster` can't be parsed.
    #[error("error setting up initial cluster: {0}")]
    InitialCluster(UrlError),
    /// Raft can't run on the clock.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The client addresses are given, but not how clients reach them.
    #[error("--advertise-client-urls is required when --listen-client-urls is set explicitly")]
    AdvertiseClientUrlsUnset,
    /// `auto-compaction-mode` is empty.
    #[error("undefined auto-compaction-mode")]
    CompactionModeEmpty,
    /// `auto-compaction-mode` is neither `periodic` nor `revision`.
    #[error("unknown auto-compaction-mode {0:?}")]
    CompactionMode(String),
    /// `auto-compaction-retention` is neither a number nor a duration.
    #[error("error parsing CompactionRetention: {0}")]
    CompactionRetention(DurationError),
    /// `auto-compaction-retention` is a duration below zero.
    #[error("error parsing CompactionRetention: negative duration {0}")]
    CompactionRetentionNegative(Nanos),
    /// Persisting checkpoints of leases without making any.
    #[error("enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint")]
    PersistWithoutCheckpoint,
    /// `compact-hash-check-time` is not positive.
    #[error("--compact-hash-check-time must be >0 (set to {0})")]
    CompactHashCheckTime(Nanos),
    /// The sampling rate of traces is not a part of a million.
    // The misspelling is etcd's.
    #[error("distributed tracing configurition is not valid: (tracing sampling rate must be {0})")]
    TracingRate(&'static str),
    /// A TLS version that does not exist or is too old.
    #[error("unexpected TLS version {0:?} (must be one of: TLS1.2, TLS1.3)")]
    TlsVersion(String),
    /// The oldest accepted TLS version is newer than the newest.
    #[error("min version ({min}) is greater than max version ({max})")]
    TlsVersions {
        /// `tls-min-version`.
        min: String,
        /// `tls-max-version`.
        max: String,
    },
    /// `max-learners` is negative.
    #[error("membership: too many learner members in cluster")]
    MaxLearners,
    /// TLS 1.3 has fixed cipher suites.
    #[error("cipher suites cannot be configured when only TLS1.3 is enabled")]
    CipherSuites,
}
