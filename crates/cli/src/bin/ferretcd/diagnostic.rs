//! Log lines about the configuration, kept until the log is set up.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ferretcd_embed::{BCRYPT_COST_DEFAULT, BCRYPT_COST_MAX, BCRYPT_COST_MIN, Port};
use ferretcd_flags::{SourceDiagnostic, redact};
use ferretcd_membership::Url;
use tracing::{info, warn};

/// Requests above this size (10 MiB) are allowed and discouraged.
pub(crate) const RECOMMENDED_REQUEST_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Quotas above this size (8 GiB) are allowed and discouraged.
pub(crate) const RECOMMENDED_QUOTA_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// A log line about the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Diagnostic {
    Source(SourceDiagnostic),
    IgnoredFlag { name: &'static str },
    NoEffect { name: &'static str },
    GateWithoutEffect { name: &'static str },
    Retiring { warning: &'static str },
    SinglePort,
    DefaultName,
    DefaultDataDir { path: PathBuf },
    DefaultSnapshotCount { count: u64 },
    DefaultCatchupEntries { entries: u64 },
    LargeRequests { bytes: u64 },
    LargeQuota { bytes: u64 },
    ShortWatchProgress { min: Duration },
    ShortPeerTimeout { flag: &'static str, min: Duration },
    AdvertisedHost { host: String },
    PeerSource { peer_urls: Vec<String>, source: Option<IpAddr> },
    JournalUnavailable,
    SimpleTokens,
    UnknownJwtOptions { keys: Vec<String> },
    BcryptCost { given: u64 },
    Security(SecurityDiagnostic),
}

/// A log line about encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecurityDiagnostic {
    CertificateUnused {
        url: Url,
        port: Port,
    },
    CertAuthUnused {
        url: Url,
        port: Port,
    },
    AutoTlsUnused {
        port: Port,
    },
    AutoTlsWithoutAuth {
        port: Port,
    },
    /// Certificates are restricted, and none is requested.
    CertificateNotRequested {
        port: Port,
        flag: &'static str,
    },
    SuitesUnsupported {
        names: Vec<String>,
    },
}

impl Diagnostic {
    /// Writes the line.
    pub(crate) fn log(&self) {
        match self {
            Self::Source(diagnostic) => log_source(diagnostic),
            Self::IgnoredFlag { name } => {
                warn!(flag = name, "flag is no longer supported and is ignored");
            }
            Self::NoEffect { name } => {
                warn!(flag = name, "--{name} has no effect in this version of ferretcd");
            }
            Self::GateWithoutEffect { name } => {
                warn!(gate = name, "feature gate {name} has no effect in this version of ferretcd");
            }
            Self::Retiring { warning } => warn!("{warning}"),
            Self::SinglePort => {
                warn!("Running http and grpc server on single port. This is not recommended for production.");
            }
            Self::DefaultName => warn!(
                name = "default",
                "this member has the default name; members of a cluster must have different ones, set --name"
            ),
            Self::DefaultDataDir { path } => {
                warn!("data-dir" = %path.display(), "'data-dir' was empty; using default");
            }
            Self::DefaultSnapshotCount { count } => info!(
                "given-snapshot-count" = 0,
                "updated-snapshot-count" = count,
                "updating snapshot-count to default"
            ),
            Self::DefaultCatchupEntries { entries } => info!(
                "given-snapshot-catchup-entries" = 0,
                "updated-snapshot-catchup-entries" = entries,
                "updating snapshot-catchup-entries to default"
            ),
            Self::LargeRequests { bytes } => warn!(
                "max-request-bytes" = bytes,
                "recommended-request-bytes" = RECOMMENDED_REQUEST_BYTES_MAX,
                "exceeded recommended request limit"
            ),
            Self::LargeQuota { bytes } => warn!(
                "quota-size-bytes" = bytes,
                "recommended-quota-size-bytes" = RECOMMENDED_QUOTA_BYTES_MAX,
                "quota exceeds the recommended maximum"
            ),
            Self::ShortWatchProgress { min } => warn!(
                "min-watch-progress-notify-interval" = format!("{min:?}"),
                "the interval of progress notices is too short; using the shortest"
            ),
            Self::ShortPeerTimeout { flag, min } => info!("{flag} increased to minimum value: {min:?}"),
            Self::AdvertisedHost { host } => info!(host, "detected default host for advertise"),
            Self::PeerSource { peer_urls, source } => log_peer_source(peer_urls, *source),
            Self::JournalUnavailable => {
                warn!("the systemd journal can't be reached; logging to stderr instead");
            }
            Self::SimpleTokens => warn!("simple token is not cryptographically signed"),
            Self::UnknownJwtOptions { keys } => warn!("keys[]" = ?keys, "unknown JWT options"),
            Self::BcryptCost { given } => warn!(
                "min-cost" = BCRYPT_COST_MIN,
                "max-cost" = BCRYPT_COST_MAX,
                "default-cost" = BCRYPT_COST_DEFAULT,
                "given-cost" = given,
                "use default bcrypt cost instead of the invalid given cost"
            ),
            Self::Security(diagnostic) => diagnostic.log(),
        }
    }
}

impl SecurityDiagnostic {
    fn log(&self) {
        match self {
            Self::CertificateUnused { url, port: Port::Client } => warn!(
                "client-url" = url.as_str(),
                "scheme is http or unix while key and cert files are present; ignoring key and cert files"
            ),
            Self::CertificateUnused { url, port: Port::Peer } => warn!(
                "peer-url" = url.as_str(),
                "scheme is HTTP while key and cert files are present; ignoring key and cert files"
            ),
            Self::CertAuthUnused { url, port: Port::Client } => warn!(
                "client-url" = url.as_str(),
                "scheme is http or unix while --client-cert-auth is enabled; ignoring client cert auth for this URL"
            ),
            Self::CertAuthUnused { url, port: Port::Peer } => warn!(
                "peer-url" = url.as_str(),
                "scheme is HTTP while --peer-client-cert-auth is enabled; ignoring client cert auth for this URL"
            ),
            Self::AutoTlsUnused { port } => {
                warn!("ignoring {port} auto TLS since certs given");
            }
            Self::AutoTlsWithoutAuth { port } => warn!(
                "with certificates that the {port} port makes for itself nobody is asked for a certificate; \
                 ignoring the flags about those of others"
            ),
            Self::CertificateNotRequested { port, flag } => warn!(
                "whoever connects to the {port} port is let in without a certificate, whatever names are allowed and \
                 certificates revoked; set --{flag}"
            ),
            Self::SuitesUnsupported { names } => {
                warn!(
                    "cipher-suites[]" = ?names,
                    "ignoring cipher suites that are not supported: in CBC mode, without forward secrecy, or broken; \
                     clients that know no others need TLS 1.3, or an ECDHE suite with AES-GCM or CHACHA20_POLY1305"
                );
            }
        }
    }
}

fn log_peer_source(peer_urls: &[String], source: Option<IpAddr>) {
    info!(
        "advertise-peer-urls[]" = ?peer_urls,
        "searching for a suitable member local address in AdvertisePeerURLs"
    );
    match source {
        Some(source) => info!(LocalAddr = %source, "setting member local address"),
        None => warn!(
            "advertise-peer-urls[]" = ?peer_urls,
            "unable to set a member local address due to lack of suitable local addresses"
        ),
    }
}

/// Writes the line of a diagnostic about environment or configuration file.
fn log_source(diagnostic: &SourceDiagnostic) {
    match diagnostic {
        SourceDiagnostic::VariableUsed { variable, value } => {
            // Passwords do not belong in logs.
            let value = redact(variable, value);
            info!(
                "variable-name" = variable,
                "variable-value" = value,
                "recognized and used environment variable"
            );
        }
        SourceDiagnostic::UnknownVariable { variable, value } => {
            warn!(
                "environment-variable" = format!("{variable}={value}"),
                "unrecognized environment variable"
            );
        }
        SourceDiagnostic::VersionVariable { value } => {
            warn!(key = "ETCD_VERSION", value, "cannot set special environment variable");
        }
        SourceDiagnostic::FileUsed { path } => info!(
            path = %path.display(),
            "loaded server configuration, other configuration command line flags and environment variables \
             will be ignored if provided"
        ),
        SourceDiagnostic::FileHasMore { path } => warn!(
            path = %path.display(),
            "the configuration file has more than one document, or a line that is indented less than the first; \
             ignoring all that follows the first document"
        ),
        SourceDiagnostic::UnknownFileKeys { path, keys } => {
            warn!(path = %path.display(), "keys[]" = ?keys, "ignoring unknown keys of the configuration file");
        }
    }
}
