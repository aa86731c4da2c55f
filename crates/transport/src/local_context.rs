//! The local member as its connections share it.

use std::sync::Arc;
use std::time::Duration;

use ferretcd_api_proto::raftpb::{self, MessageType};
use ferretcd_base::{ClusterId, MemberId};
use ferretcd_membership::Membership;
use http::{HeaderMap, StatusCode};
use parking_lot::RwLock;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::client::Client;
use crate::config::Config;
use crate::local_member::LocalMember;
use crate::metrics::Metrics;
use crate::rejection::Rejection;
use crate::timeout_stream::Timeouts;
use crate::{convert, error_texts, headers};

/// How long a write of a request waits until the peer takes a byte.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Snapshots that are sent at the same time to members that fetch them. Each has a thread while it lasts.
const FETCHES_MAX: usize = 2;

/// The local member, its clients for requests to peers, and the checks of received messages.
#[derive(Debug)]
pub(crate) struct LocalContext {
    pub(crate) id: MemberId,
    pub(crate) cluster: ClusterId,
    pub(crate) member: Arc<dyn LocalMember>,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    /// The headers of each request.
    pub(crate) identity: HeaderMap,
    pub(crate) streams: Client,
    pub(crate) rpcs: Client,
    /// One permit: one snapshot is received at a time.
    pub(crate) receiving: Arc<Semaphore>,
    /// One permit for each snapshot that is fetched from this member.
    pub(crate) fetches: Arc<Semaphore>,
    /// The last known members. Replaced as a whole.
    membership: Arc<RwLock<Membership>>,
}

impl LocalContext {
    pub(crate) fn new(
        member: Arc<dyn LocalMember>,
        config: Config,
        metrics: Metrics,
        membership: Arc<RwLock<Membership>>,
    ) -> Self {
        let (id, cluster) = (member.id(), member.cluster_id());
        let connect = Arc::clone(&config.connect);
        Self {
            id,
            cluster,
            member,
            metrics,
            identity: headers::identify(id, cluster, &config.peer_urls),
            streams: Client::for_streams(
                Arc::clone(&connect),
                config.dial_timeout,
                Timeouts { read: Some(config.silence), write: Some(config.write_timeout) },
            ),
            rpcs: Client::for_rpcs(connect, config.dial_timeout, WRITE_TIMEOUT),
            receiving: Arc::new(Semaphore::new(1)),
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            membership,
            config,
        }
    }

    pub(crate) fn is_removed(&self, id: MemberId) -> bool {
        self.membership.read().is_removed(id)
    }

    /// The id of a sender in the metrics: members have their own, and all others share one, because they can invent ids.
    pub(crate) fn counted(&self, id: MemberId) -> MemberId {
        if self.membership.read().member(id).is_some() { id } else { MemberId::default() }
    }

    /// Checks sender and receiver of a message.
    pub(crate) fn admit(&self, message: &raftpb::Message) -> Result<(), Undelivered> {
        if self.is_removed(MemberId(message.from())) {
            return Err(Undelivered::Removed);
        }
        if message.to() != self.id.0 {
            return Err(Undelivered::Mismatch);
        }
        Ok(())
    }

    /// Delivers a message to the local member. A message that announces a snapshot is rejected: no snapshot has been stored
    /// for it, and the member would have a log that begins after entries that it lacks.
    pub(crate) fn deliver(&self, message: raftpb::Message) -> Result<(), Undelivered> {
        if message.r#type() == MessageType::MsgSnap {
            let from = MemberId(message.from());
            warn!("local-member-id" = %self.id, %from, "rejected Raft message with a snapshot that did not come along");
            return Err(Undelivered::Malformed);
        }
        self.deliver_stored(message)
    }

    /// Delivers a message to the local member, which has stored the snapshot that the message announces, if it does.
    pub(crate) fn deliver_stored(&self, message: raftpb::Message) -> Result<(), Undelivered> {
        let from = MemberId(message.from());
        self.admit(&message).inspect_err(|undelivered| self.log(*undelivered, &message))?;
        let message = convert::from_wire(message).map_err(|error| {
            warn!("local-member-id" = %self.id, "from" = %from, error, "failed to process Raft message");
            Undelivered::Malformed
        })?;
        self.member.receive(message);
        Ok(())
    }

    fn log(&self, undelivered: Undelivered, message: &raftpb::Message) {
        match undelivered {
            Undelivered::Removed => warn!(
                "local-member-id" = %self.id,
                "removed-member-id" = %MemberId(message.from()),
                "rejected Raft message from removed member"
            ),
            Undelivered::Mismatch => warn!(
                "local-member-id" = %self.id,
                "mismatch-member-id" = %MemberId(message.to()),
                "rejected Raft message to mismatch member"
            ),
            Undelivered::Malformed => {}
        }
    }
}

/// Why a message was not delivered to the local member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// The sender has been removed.
    Removed,
    /// The message is for another member.
    Mismatch,
    /// Members do not send such messages to each other.
    Malformed,
}

impl From<Undelivered> for Rejection {
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
