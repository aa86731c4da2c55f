//! The network between a member and its peers, as the member sees it.
//!
//! [`Peers`] is implemented by the network. Requests between members are pairs of [`PeerRequest`] and [`PeerResponse`]:
//! the same on the requesting member, on the network, and on the member that serves them.

mod request;
mod serve;

use std::fmt;
use std::io::Read;
use std::pin::Pin;
use std::time::Instant;

use ferretcd_base::{LogPosition, MemberId};
use ferretcd_membership::Membership;
use ferretcd_raft_node::Message;

pub use request::{
    GetVersions, HashKv, IsDowngrading, LeaseInfo, PeerCall, PeerError, PeerHash, PeerRequest, PeerResponse,
    PeerVersions, Promote, RenewLease,
};

/// The outcome of a request to a peer. It ends by itself after a time-out of the network's own; dropping it cancels the
/// request.
pub type PeerFuture<T> = Pin<Box<dyn Future<Output = Result<T, PeerError>> + Send>>;

/// The network to the other members.
pub trait Peers: fmt::Debug + Send + Sync + 'static {
    /// Takes raft messages, in order per member. May drop any of them, delivers none twice, and never blocks. With
    /// a message that announces a snapshot the network sends the snapshot, which it opens at the local member.
    fn send(&self, messages: Vec<Message>);

    /// Replaces the list of members. Connections to others end, and removed members are rejected.
    fn set_members(&self, membership: &Membership);

    /// Since when the peer has been active without a break; `None` if it is not.
    fn active_since(&self, id: MemberId) -> Option<Instant>;

    /// Sends a request to the peer `to`. `call` returns the response with its type.
    fn request(&self, to: MemberId, request: PeerRequest) -> PeerFuture<PeerResponse>;

    /// Fetches the snapshot of the peer `from`, at entry `at_least` or a later one. Resolves when the snapshot begins to
    /// arrive.
    fn fetch_snapshot(&self, from: MemberId, at_least: u64) -> PeerFuture<PeerSnapshot>;
}

impl dyn Peers {
    /// Sends a request to the peer `to` and returns its response.
    pub fn call<C: PeerCall>(
        &self,
        to: MemberId,
        call: C,
    ) -> impl Future<Output = Result<C::Response, PeerError>> + Send + use<C> {
        let response = self.request(to, call.into());
        async move { C::response(response.await?) }
    }
}

/// The snapshot of a peer, while it arrives.
pub struct PeerSnapshot {
    /// The last entry in it.
    pub position: LogPosition,
    /// Bytes of the body, if the peer announces them.
    pub len: Option<u64>,
    /// A bolt file as etcd sends it. Reads block until bytes arrive, and fail when none arrive for a while. The snapshot is
    /// complete if the body ends without an error.
    pub body: Box<dyn Read + Send>,
}

impl fmt::Debug for PeerSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerSnapshot")
            .field("position", &self.position)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// The network of a member without peers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

impl NoPeers {
    fn unreachable<T: Send + 'static>() -> PeerFuture<T> {
        Box::pin(async { Err(PeerError::Unreachable("there are no other members".to_owned())) })
    }
}

impl Peers for NoPeers {
    fn send(&self, _messages: Vec<Message>) {}

    fn set_members(&self, _membership: &Membership) {}

    fn active_since(&self, _id: MemberId) -> Option<Instant> {
        None
    }

    fn request(&self, _to: MemberId, _request: PeerRequest) -> PeerFuture<PeerResponse> {
        Self::unreachable()
    }

    fn fetch_snapshot(&self, _from: MemberId, _at_least: u64) -> PeerFuture<PeerSnapshot> {
        Self::unreachable()
    }
}
