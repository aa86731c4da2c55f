//! The sender of a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The sender of a request, as far as the port that received the request knows it. Plain data; cheap to make and to
/// clone, and without an allocation while the sender is anonymous.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The name that the request came under.
    pub identity: Identity,
    /// The remote address of the connection; `None` for calls within the process.
    pub address: Option<SocketAddr>,
    /// When the sender stops waiting; `None` if it did not say. The port enforces it.
    pub deadline: Option<Instant>,
}

/// The name that a request came under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// None.
    #[default]
    Anonymous,
    /// The common name of the client's certificate. It stands for no user by itself.
    CommonName(Arc<str>),
    /// A user whose credential was valid.
    User {
        /// The user's name.
        name: Arc<str>,
        /// The revision of the auth store that the credential was checked at.
        auth_revision: u64,
    },
    /// A member of the cluster: a peer, or this member itself.
    Member,
}

impl Caller {
    /// A caller of which nothing is known.
    pub const ANONYMOUS: Self = Self { identity: Identity::Anonymous, address: None, deadline: None };

    /// Calls within the process that come from the member's own background work.
    pub const MEMBER: Self = Self { identity: Identity::Member, address: None, deadline: None };

    /// The user and the auth revision that a log entry of this caller names; empty and zero without a user.
    pub(crate) fn user(&self) -> (&str, u64) {
        match &self.identity {
            Identity::User { name, auth_revision } => (name, *auth_revision),
            Identity::Anonymous | Identity::CommonName(_) | Identity::Member => ("", 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_name_authenticated_users_alone() {
        let of = |identity| Caller { identity, ..Caller::ANONYMOUS };
        let user = of(Identity::User { name: "alice".into(), auth_revision: 3 });
        assert_eq!(user.user(), ("alice", 3));
        assert_eq!(of(Identity::CommonName("alice".into())).user(), ("", 0));
        assert_eq!(Caller::MEMBER.user(), ("", 0));
    }
}
