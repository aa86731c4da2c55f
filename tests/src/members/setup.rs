//! The setup of clusters.

use ferretcd_client::Credentials;

use super::{disk, namespaces, slow};
use crate::{Program, report};

/// The network between the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The loopback device.
    Direct,
    /// The loopback device, and a proxy before each member that knows the calling member. Needs no rights.
    Links,
    /// A network namespace for each member and a bridge between them. Needs root, see [`Network::is_available`].
    Namespaces,
}

impl Network {
    /// Whether there can be such a network on this machine; reports a skip if not.
    pub fn is_available<P: Program>(self, what: &str) -> bool {
        let available = if self == Self::Namespaces { namespaces::available() } else { Ok(()) };
        if let Err(reason) = &available {
            report::skipped(&format!("{what} on {}", P::KIND.name), &format!("failed to {reason}"));
        }
        available.is_ok()
    }
}

/// The setup of a cluster.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The number of members at the start.
    pub size: usize,
    /// The network between them.
    pub network: Network,
    /// Further flags of all members, in etcd's spelling.
    pub flags: Vec<String>,
    /// Peers use TLS, see [`Setup::secured`].
    pub is_secured: bool,
    /// Each member has a file system of its own, see [`Setup::with_disks`].
    pub disks: bool,
    /// The first member's disk is slow, see [`Setup::with_slow_disk`].
    pub has_slow_disk: bool,
    /// The user of requests about the members' state, see [`Setup::asked_by`].
    pub user: Option<Credentials>,
}

impl Setup {
    /// So many members, without any options.
    pub fn of(size: usize) -> Self {
        Self {
            size,
            network: Network::Direct,
            flags: Vec::new(),
            is_secured: false,
            disks: false,
            has_slow_disk: false,
            user: None,
        }
    }

    /// With a user for the requests about the members' state: whether they are ready, which one leads. Needed once
    /// authentication is enabled; before that it does no harm.
    pub fn asked_by(self, user: &str, password: &str) -> Self {
        let user = Some(Credentials { user: user.to_owned(), password: password.to_owned() });
        Self { user, ..self }
    }

    /// With a network that can be cut.
    pub fn on(self, network: Network) -> Self {
        Self { network, ..self }
    }

    /// With `https` peer URLs. Flags have to name the certificates.
    pub fn secured(self) -> Self {
        Self { is_secured: true, ..self }
    }

    /// With file systems that can be frozen, if there can be any on this machine; reports a skip if not. Needs root.
    pub fn with_disks<P: Program>(self, what: &str) -> Option<Self> {
        let available = disk::available();
        if let Err(reason) = &available {
            report::skipped(&format!("{what} on {}", P::KIND.name), &format!("failed to {reason}"));
        }
        available.is_ok().then_some(Self { disks: true, ..self })
    }

    /// With a first member whose syncs take 150 ms longer, if there can be such a disk on this machine; reports a skip
    /// if not.
    pub fn with_slow_disk<P: Program>(self, what: &str) -> Option<Self> {
        let available = slow::available();
        if let Err(reason) = &available {
            report::skipped(&format!("{what} on {}", P::KIND.name), &format!("failed to {reason}"));
        }
        available.is_ok().then_some(Self { has_slow_disk: true, ..self })
    }

    /// With further flags.
    pub fn with(mut self, flags: &[impl AsRef<str>]) -> Self {
        self.flags.extend(flags.iter().map(|flag| flag.as_ref().to_owned()));
        self
    }
}
