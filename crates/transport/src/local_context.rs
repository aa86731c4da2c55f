//! What all connections of a member share.

use std::sync::Arc;

use ferretcd_api_proto::raftpb::{self, MessageType};
use ferretcd_base::{ClusterId, MemberId};
use ferretcd_membership::Membership;
use http::{HeaderMap, StatusCode};
use parking_lot::RwLock;
use tracing::warn;

use crate::client::Client;
use crate::local_member::LocalMember;
use crate::metrics::Metrics;
use crate::response::Refusal;
use crate::{Config, convert, error_texts};

/// How long a write of a request waits until the other side takes something.
const WRITE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The member on this side and how it speaks.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) id: MemberId,
    pub(crate) cluster: ClusterId,
    pub(crate) member: Arc<dyn LocalMember>,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    /// What goes with each request.
    pub(crate) identity: HeaderMap,
    pub(crate) streams: Client,
    pub(crate) calls: Client,
    /// The members as they were told last. Replaced as a whole.
    pub(crate) membership: Arc<RwLock<Membership>>,
}

impl Local {
    pub(crate) fn new(
        member: Arc<dyn LocalMember>,
        config: Config,
        metrics: Metrics,
        membership: Arc<RwLock<Membership>>,
    ) -> Self {
        let (id, cluster) = (member.id(), member.cluster_id());
        let identity = crate::headers::identify(id, cluster, &config.peer_urls);
        let connect = Arc::clone(&config.connect);
        let streams = Client::for_streams(Arc::clone(&connect), config.dial_timeout, config.silence);
        let calls = Client::for_calls(connect, config.dial_timeout, WRITE_PATIENCE);
        Self { id, cluster, member, config, metrics, identity, streams, calls, membership }
    }

    pub(crate) fn is_removed(&self, id: MemberId) -> bool {
        self.membership.read().is_removed(id)
    }

    /// As whom somebody is counted: members by their ids, and all others as one, for they can say to be anybody.
    pub(crate) fn counted(&self, id: MemberId) -> MemberId {
        if self.membership.read().member(id).is_some() { id } else { MemberId::default() }
    }

    /// Whether a message may be taken at all.
    pub(crate) fn admit(&self, message: &raftpb::Message) -> Result<(), Undelivered> {
        if self.is_removed(MemberId(message.from())) {
            return Err(Undelivered::Removed);
        }
        if message.to() != self.id.0 {
            return Err(Undelivered::Mismatch);
        }
        Ok(())
    }

    /// Gives a message to the member. One that announces a state is refused: nothing has been stored for it, and the
    /// member would have a log that begins with what it does not have.
    pub(crate) fn deliver(&self, message: raftpb::Message) -> Result<(), Undelivered> {
        if message.r#type() == MessageType::MsgSnap {
            let from = MemberId(message.from());
            warn!("local-member-id" = %self.id, %from, "rejected Raft message with a snapshot that did not come along");
            return Err(Undelivered::Malformed);
        }
        self.deliver_stored(message)
    }

    /// Gives a message to the member, for which it has stored the state if that is what the message is about.
    pub(crate) fn deliver_stored(&self, message: raftpb::Message) -> Result<(), Undelivered> {
        let (from, to) = (MemberId(message.from()), MemberId(message.to()));
        match self.admit(&message) {
            Err(Undelivered::Removed) => {
                warn!(
                    "local-member-id" = %self.id,
                    "removed-member-id" = %from,
                    "rejected Raft message from removed member"
                );
                return Err(Undelivered::Removed);
            }
            Err(Undelivered::Mismatch) => {
                warn!(
                    "local-member-id" = %self.id,
                    "mismatch-member-id" = %to,
                    "rejected Raft message to mismatch member"
                );
                return Err(Undelivered::Mismatch);
            }
            Err(other) => return Err(other),
            Ok(()) => {}
        }
        let message = convert::from_wire(message).map_err(|error| {
            warn!("local-member-id" = %self.id, "from" = %from, error, "failed to process Raft message");
            Undelivered::Malformed
        })?;
        self.member.receive(message);
        Ok(())
    }
}

/// Why a message was not given to the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// Its sender was removed.
    Removed,
    /// It is for somebody else.
    Mismatch,
    /// It is none that members send to each other.
    Malformed,
}

impl From<Undelivered> for Refusal {
    fn from(undelivered: Undelivered) -> Self {
        match undelivered {
            Undelivered::Removed => Self::Json(StatusCode::FORBIDDEN, error_texts::SENDER_REMOVED),
            Undelivered::Mismatch => {
                Self::Json(StatusCode::FORBIDDEN, "cannot process message to mismatch member")
            }
            Undelivered::Malformed => {
                Self::text(StatusCode::INTERNAL_SERVER_ERROR, "error processing raft message")
            }
        }
    }
}
