//! A peer, as all connections to it share it.

use std::sync::Arc;

use ferretcd_api_proto::raftpb::{Message, MessageType};
use ferretcd_base::MemberId;
use http::{HeaderMap, StatusCode, Uri};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::{error, warn};

use crate::client::{FullResponse, RequestError};
use crate::error_texts;
use crate::headers::{CLUSTER_ID, CLUSTER_MISMATCH, INCOMPATIBLE_VERSION, text};
use crate::local_context::LocalContext;
use crate::local_member::PeerReport;
use crate::message_queue::{MessageQueue, PushError};
use crate::metrics::PeerCounters;
use crate::peer_status::PeerStatus;
use crate::url_picker::UrlPicker;

/// Characters of an error response that are kept; the response may be the page of another server.
const TEXT_CHARS_MAX: usize = 1024;

/// The two streams from one member to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// Entries for the log.
    Appends,
    /// All other messages, so that they never wait behind entries.
    Messages,
}

impl StreamKind {
    /// The part of the path that names the stream.
    pub(crate) fn segment(self) -> &'static str {
        match self {
            Self::Appends => "msgapp",
            Self::Messages => "message",
        }
    }

    /// The name in log lines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Appends => "stream MsgApp v2",
            Self::Messages => "stream Message",
        }
    }
}

/// A peer and the messages that wait for its connections.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) local: Arc<LocalContext>,
    pub(crate) id: MemberId,
    pub(crate) urls: UrlPicker,
    pub(crate) status: PeerStatus,
    pub(crate) counters: PeerCounters,
    appends: MessageQueue,
    messages: MessageQueue,
    outbox: Outbox,
}

/// The messages that no stream takes, on their way to the tasks that post them.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) pipeline: mpsc::Sender<Message>,
    /// Snapshots that wait for the one in flight.
    pub(crate) snapshots: mpsc::Sender<Message>,
}

impl Peer {
    /// The metrics count the peer as `counted`.
    pub(crate) fn new(
        local: Arc<LocalContext>,
        id: MemberId,
        counted: MemberId,
        urls: &[String],
        outbox: Outbox,
    ) -> Self {
        let (active, disconnected) = local.metrics.activity(local.id, counted);
        Self {
            id,
            urls: UrlPicker::new(urls),
            status: PeerStatus::new(id, active, disconnected),
            counters: local.metrics.of_peer(counted),
            appends: MessageQueue::default(),
            messages: MessageQueue::default(),
            outbox,
            local,
        }
    }

    pub(crate) fn queue(&self, kind: StreamKind) -> &MessageQueue {
        match kind {
            StreamKind::Appends => &self.appends,
            StreamKind::Messages => &self.messages,
        }
    }

    /// The URL to use.
    pub(crate) fn url(&self) -> Result<Uri, ExchangeError> {
        self.urls.pick().ok_or(ExchangeError::NoUrl)
    }

    /// Sends a message on the connection that fits it, or reports it lost. Does not block.
    pub(crate) fn send(&self, message: Message) {
        let kind = message.r#type();
        let full = match kind {
            MessageType::MsgSnap => self.outbox.snapshots.try_send(message).is_err().then_some("snapshots"),
            MessageType::MsgApp => self.send_on(StreamKind::Appends, message),
            _ => self.send_on(StreamKind::Messages, message),
        };
        let Some(connection) = full else { return };
        warn!(
            "message-type" = kind.as_str_name(),
            "local-member-id" = %self.local.id,
            "remote-peer-id" = %self.id,
            "remote-peer-name" = connection,
            "remote-peer-active" = self.status.since().is_some(),
            "dropped internal Raft message since sending buffer is full"
        );
        self.counters.sent_failures.inc();
        self.report_unreachable();
        if kind == MessageType::MsgSnap {
            self.report_snapshot(false);
        }
    }

    /// Tries the stream of a kind, then that of all messages, then a request. Returns the name of a connection whose queue
    /// is full.
    fn send_on(&self, kind: StreamKind, message: Message) -> Option<&'static str> {
        match (self.queue(kind).push(message), kind) {
            (Ok(()), _) => None,
            (Err(PushError::Full), StreamKind::Appends) => Some("streamMsgAppV2"),
            (Err(PushError::Full), StreamKind::Messages) => Some("streamMsg"),
            (Err(PushError::Detached(message)), StreamKind::Appends) => {
                self.send_on(StreamKind::Messages, *message)
            }
            (Err(PushError::Detached(message)), StreamKind::Messages) => {
                match self.outbox.pipeline.try_send(*message) {
                    Ok(()) | Err(TrySendError::Closed(_)) => None,
                    Err(TrySendError::Full(_)) => Some("pipeline"),
                }
            }
        }
    }

    /// Reports to the local member that messages to this peer were lost.
    pub(crate) fn report_unreachable(&self) {
        self.local.member.report(PeerReport::Unreachable(self.id));
    }

    /// Reports to the local member what became of the last announced snapshot.
    pub(crate) fn report_snapshot(&self, is_sent: bool) {
        self.local.member.report(PeerReport::Snapshot { to: self.id, is_sent });
    }

    /// Whether a response comes from a member of the cluster, and not from another server at its address. Members name
    /// their cluster in error responses as well.
    pub(crate) fn is_of_cluster(&self, response: &HeaderMap) -> bool {
        text(response, &CLUSTER_ID) == Some(&self.local.cluster.to_string())
    }

    /// Reads the response to a posted message.
    pub(crate) fn check_posted(&self, response: &FullResponse) -> Result<(), ExchangeError> {
        match response.status {
            StatusCode::NO_CONTENT => Ok(()),
            // A member sends the same status for a message to another member, which had its address before.
            StatusCode::FORBIDDEN
                if self.is_of_cluster(&response.headers)
                    && response.text().contains(error_texts::SENDER_REMOVED) =>
            {
                self.local.member.report(PeerReport::Removed);
                Err(ExchangeError::Removed)
            }
            StatusCode::PRECONDITION_FAILED => {
                let rejected = response.text();
                match rejected.as_str() {
                    INCOMPATIBLE_VERSION => {
                        error!("remote-peer-id" = %self.id, "request sent was ignored by peer");
                    }
                    CLUSTER_MISMATCH => error!(
                        "remote-peer-id" = %self.id,
                        "remote-peer-cluster-id" = text(&response.headers, &CLUSTER_ID).unwrap_or_default(),
                        "local-member-cluster-id" = %self.local.cluster,
                        "request sent was ignored due to cluster ID mismatch"
                    ),
                    _ => {}
                }
                Err(ExchangeError::Precondition(rejected))
            }
            status => {
                Err(ExchangeError::Failed(status, response.text().chars().take(TEXT_CHARS_MAX).collect()))
            }
        }
    }
}

/// Why an exchange with a peer failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("find a URL of the member: it has none that is valid")]
    NoUrl,
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("be heard: the member has been permanently removed from the cluster")]
    Removed,
    #[error("be heard: the member does not know this one")]
    Unknown,
    #[error("be heard: {0}")]
    Precondition(String),
    #[error("be heard: unexpected status {0}")]
    Status(StatusCode),
    #[error("be heard: unexpected status {0}: {1}")]
    Failed(StatusCode, String),
    #[error("open the state: {0}")]
    Snapshot(#[from] std::io::Error),
}
