//! Where founders are found, as plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ferretcd_client::Credentials;
use ferretcd_membership::Url;
use ferretcd_tls::{KeyFiles, NamedFile};

/// The peer URLs of all founders by name.
pub type Members = BTreeMap<String, Vec<Url>>;

/// Where the other founders are found.
#[derive(Clone, Debug)]
pub enum Discovery {
    /// In the name service.
    Srv(SrvRecords),
    /// In another cluster.
    Registry(Registry),
}

/// The SRV records that name the founders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvRecords {
    /// Their domain, and the name that the certificates of members have if no authority is given.
    pub domain: String,
    /// What the service's name ends with, behind a dash; empty for no such end.
    pub service_name: String,
}

/// Another cluster, in which each founder puts its name and URLs.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Where that cluster serves clients: URLs, or a host and a port. Not empty.
    pub endpoints: Vec<String>,
    /// The name of the cluster that is to be founded. Not empty.
    pub token: String,
    /// Longest time to connect.
    pub dial_timeout: Duration,
    /// Longest time for a response.
    pub request_timeout: Duration,
    /// Time without a response after which a ping is sent; `None` for never.
    pub keepalive_interval: Option<Duration>,
    /// Longest time for the response to a ping.
    pub keepalive_timeout: Duration,
    /// How connections are encrypted. `None` in the clear, unless an endpoint is an `https` URL.
    pub tls: Option<RegistryTls>,
    /// The user of the requests; `None` if the registry has authentication off.
    pub credentials: Option<Credentials>,
}

/// How connections with the registry are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryTls {
    /// The certificate of this member.
    pub files: Option<KeyFiles>,
    /// The authority to trust; `None` for those that the system trusts.
    pub trusted_ca: Option<PathBuf>,
    /// Any certificate is accepted.
    pub insecure_skip_verify: bool,
}

impl Registry {
    /// A registry with etcd's defaults.
    pub fn new<T: Into<String>>(endpoints: impl IntoIterator<Item = T>, token: impl Into<String>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            token: token.into(),
            dial_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(5),
            keepalive_interval: Some(Duration::from_secs(2)),
            keepalive_timeout: Duration::from_secs(6),
            tls: None,
            credentials: None,
        }
    }
}

impl RegistryTls {
    /// The files, each with the setting that names it.
    pub fn named_files(&self) -> Vec<NamedFile<'_>> {
        let mut named = Vec::new();
        named.extend(self.files.iter().flat_map(|files| files.named("discovery-cert", "discovery-key")));
        named.extend(self.trusted_ca.as_deref().map(|path| ("discovery-cacert", path)));
        named
    }
}
