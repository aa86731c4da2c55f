//! Requests between members and their responses.

use ferretcd_api_proto::etcdserverpb::{LeaseTimeToLiveRequest, LeaseTimeToLiveResponse};
use ferretcd_base::{LeaseId, MemberId};
use ferretcd_membership::Member;

/// One request together with the type of its response.
pub trait PeerCall: Into<PeerRequest> {
    /// What the peer returns.
    type Response: Send + 'static;

    /// The response to this request; an error if `response` belongs to another one.
    fn response(response: PeerResponse) -> Result<Self::Response, PeerError>;
}

/// Renews a lease at the leader. The response is the time to live, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenewLease(pub LeaseId);

/// Gets the remaining time of a lease from the leader.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeaseInfo(pub LeaseTimeToLiveRequest);

/// Has the leader promote a learner to a voter. The response lists all members after the promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promote(pub MemberId);

/// Gets the hash of a member's key space at a revision, or at its newest one for 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKv(pub i64);

/// Gets the versions that a member runs and knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetVersions;

/// Whether the cluster is being downgraded. The response is not older than the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsDowngrading;

/// Declares the pair of enums, and each call with its response.
macro_rules! peer_calls {
    ($($call:ident -> $response:ty,)+) => {
        /// A request from one member to another.
        #[derive(Clone, Debug, PartialEq)]
        pub enum PeerRequest {
            $(#[doc = concat!("See [`", stringify!($call), "`].")] $call($call),)+
        }

        /// The response to the [`PeerRequest`] of the same name.
        #[derive(Clone, Debug, PartialEq)]
        pub enum PeerResponse {
            $(#[doc = concat!("To [`", stringify!($call), "`].")] $call($response),)+
        }

        $(
            impl From<$call> for PeerRequest {
                fn from(call: $call) -> Self {
                    Self::$call(call)
                }
            }

            impl PeerCall for $call {
                type Response = $response;

                fn response(response: PeerResponse) -> Result<$response, PeerError> {
                    match response {
                        PeerResponse::$call(response) => Ok(response),
                        _ => Err(PeerError::WrongResponse),
                    }
                }
            }
        )+
    };
}

peer_calls! {
    RenewLease -> i64,
    LeaseInfo -> LeaseTimeToLiveResponse,
    Promote -> Vec<Member>,
    HashKv -> PeerHash,
    GetVersions -> PeerVersions,
    IsDowngrading -> bool,
}

/// The hash of a member's key space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerHash {
    /// Over everything that is kept of the revisions up to [`Self::revision`].
    pub hash: u32,
    /// The requested revision, or the newest one for a request with 0.
    pub revision: i64,
    /// The last compaction when the hash was taken. Only hashes with the same one can be compared.
    pub compact_revision: i64,
}

/// The versions of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerVersions {
    /// The program's, `X.Y.Z`.
    pub server: String,
    /// The cluster's as the member knows it, `X.Y.0`, or empty.
    pub cluster: String,
}

/// Why a peer sent no response, or an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The peer is unknown, or there is no connection to it.
    #[error("reach the member: {0}")]
    Unreachable(String),
    /// No response came in time.
    #[error("get an answer from the member in time")]
    Timeout,
    /// The peer does not know the lease, the member or the request.
    #[error("find there what was asked about")]
    NotFound,
    /// The peer has not applied what the request waits for.
    #[error("wait there for the applied index")]
    TimeoutWaitApplied,
    /// The member to promote is no learner.
    #[error("promote a member that is no learner")]
    NotLearner,
    /// The learner to promote is not in sync with the leader.
    #[error("promote a learner that is not in sync with the leader")]
    LearnerNotReady,
    /// The requested revision is compacted at the peer.
    #[error("read a compacted revision there")]
    Compacted,
    /// The peer has not reached the requested revision.
    #[error("read a future revision there")]
    FutureRevision,
    /// Another error, in the peer's words.
    #[error("be served by the member: {0}")]
    Rejected(String),
    /// The response belongs to another request.
    #[error("get the response that belongs to the request")]
    WrongResponse,
}
