//! The sender of a request.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

/// The sender of a request, as far as the port that received the request knows it. Plain data; cheap to make and to
/// clone, and without an allocation while the sender is anonymous.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The name that the request came under.
    pub identity: Identity,
    /// The remote address of the connection; `None` for calls within the process, and over Unix sockets.
    pub address: Option<SocketAddr>,
    /// When the sender stops waiting; `None` if it did not say. The port enforces it.
    pub deadline: Option<Instant>,
}

/// The name that a request came under.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Identity {
    /// None.
    #[default]
    Anonymous,
    /// The common name of the client's certificate. It stands for the user of that name if the member was started so.
    CommonName(Arc<str>),
    /// A token that came with the request, and was not looked at yet.
    Token(Bytes),
    /// A user whose credential was valid.
    User {
        /// The user's name.
        name: Arc<str>,
        /// The revision of the auth store that the credential was checked at.
        auth_revision: u64,
    },
    /// A member of the cluster: a peer, or this member itself. It may do what root may.
    Member,
}

impl Caller {
    /// A caller of which nothing is known.
    pub const ANONYMOUS: Self = Self { identity: Identity::Anonymous, address: None, deadline: None };

    /// Calls within the process that come from the member's own background work.
    pub const MEMBER: Self = Self { identity: Identity::Member, address: None, deadline: None };
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::CommonName(name) => f.debug_tuple("CommonName").field(name).finish(),
            // It proves an identity.
            Self::Token(_) => f.write_str("Token"),
            Self::User { name, auth_revision } => {
                f.debug_struct("User").field("name", name).field("auth_revision", auth_revision).finish()
            }
            Self::Member => f.write_str("Member"),
        }
    }
}
