//! What all connections to one member share.

use std::sync::Arc;

use ferretcd_base::MemberId;
use http::{HeaderMap, StatusCode, Uri};
use tracing::error;

use crate::client::{Reply, RequestError};
use crate::error_texts;
use crate::headers::{CLUSTER_ID, CLUSTER_MISMATCH, INCOMPATIBLE_VERSION, text};
use crate::local_context::Local;
use crate::local_member::PeerReport;
use crate::message_queue::Lane;
use crate::metrics::PeerCounters;
use crate::peer_status::Liveness;
use crate::url_picker::Urls;

/// So much of what the other side says about a failure is told; it may be somebody else's page.
const TEXT_CHARS_MAX: usize = 1024;

/// The two streams from one member to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// Entries for the log.
    Appends,
    /// Everything else, so that it never waits behind entries.
    Messages,
}

impl StreamKind {
    /// The part of the path that names it.
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

/// The other member, as everything that has to do with it sees it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) local: Arc<Local>,
    pub(crate) id: MemberId,
    pub(crate) urls: Urls,
    pub(crate) liveness: Liveness,
    pub(crate) counters: PeerCounters,
    appends: Lane,
    messages: Lane,
}

impl Link {
    /// `counted` is whom the metrics name.
    pub(crate) fn new(local: Arc<Local>, id: MemberId, counted: MemberId, urls: &[String]) -> Self {
        let (active, disconnected) = local.metrics.activity(local.id, counted);
        Self {
            id,
            urls: Urls::new(urls),
            liveness: Liveness::new(id, active, disconnected),
            counters: local.metrics.of_peer(counted),
            appends: Lane::default(),
            messages: Lane::default(),
            local,
        }
    }

    pub(crate) fn lane(&self, kind: StreamKind) -> &Lane {
        match kind {
            StreamKind::Appends => &self.appends,
            StreamKind::Messages => &self.messages,
        }
    }

    /// The URL to use.
    pub(crate) fn url(&self) -> Result<Uri, LinkError> {
        self.urls.pick().ok_or(LinkError::NoUrl)
    }

    /// Whether an answer is a member's, and not that of something else at its address. Refusals are as well.
    pub(crate) fn is_of_cluster(&self, answer: &HeaderMap) -> bool {
        text(answer, &CLUSTER_ID) == Some(&self.local.cluster.to_string())
    }

    /// What the answer to a posted message means.
    pub(crate) fn check_posted(&self, reply: &Reply) -> Result<(), LinkError> {
        match reply.status {
            StatusCode::NO_CONTENT => Ok(()),
            // The same status is for messages that have come to the wrong member, whose address was another's before.
            StatusCode::FORBIDDEN
                if self.is_of_cluster(&reply.headers)
                    && reply.text().contains(error_texts::SENDER_REMOVED) =>
            {
                self.local.member.report(PeerReport::Removed);
                Err(LinkError::Removed)
            }
            StatusCode::PRECONDITION_FAILED => {
                let refused = reply.text();
                match refused.as_str() {
                    INCOMPATIBLE_VERSION => {
                        error!("remote-peer-id" = %self.id, "request sent was ignored by peer");
                    }
                    CLUSTER_MISMATCH => error!(
                        "remote-peer-id" = %self.id,
                        "remote-peer-cluster-id" = text(&reply.headers, &CLUSTER_ID).unwrap_or_default(),
                        "local-member-cluster-id" = %self.local.cluster,
                        "request sent was ignored due to cluster ID mismatch"
                    ),
                    _ => {}
                }
                Err(LinkError::Precondition(refused))
            }
            status => Err(LinkError::Failed(status, reply.text().chars().take(TEXT_CHARS_MAX).collect())),
        }
    }
}

/// Why something did not reach the other member, or nothing came from it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
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
