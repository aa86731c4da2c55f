//! Which of the genuine certificates are allowed.

use crate::error::Error;
use crate::identity::PeerIdentity;

/// Which certificates are accepted, of those that a trusted authority has signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Allowed {
    /// All.
    #[default]
    Anyone,
    /// Those with one of these common names.
    CommonNames(Vec<String>),
    /// Those for one of these hosts.
    Hostnames(Vec<String>),
}

impl Allowed {
    /// From two lists of which one is empty; two empty ones allow all.
    ///
    /// # Errors
    /// When both have names.
    pub fn new(common_names: Vec<String>, hostnames: Vec<String>) -> Result<Self, Error> {
        match (common_names.is_empty(), hostnames.is_empty()) {
            (true, true) => Ok(Self::Anyone),
            (false, true) => Ok(Self::CommonNames(common_names)),
            (true, false) => Ok(Self::Hostnames(hostnames)),
            (false, false) => Err(Error::AllowedTwice { common_names, hostnames }),
        }
    }

    /// Whether a peer with this certificate is accepted.
    pub fn allows(&self, identity: &PeerIdentity) -> bool {
        match self {
            Self::Anyone => true,
            Self::CommonNames(names) => names.iter().any(|name| **name == *identity.common_name),
            Self::Hostnames(hosts) => hosts.iter().any(|host| identity.is_for_host(host)),
        }
    }
}
