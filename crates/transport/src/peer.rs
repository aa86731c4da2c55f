//! Another member, with the tasks that keep the connections to it.

use std::sync::Arc;

use ferretcd_api_proto::raftpb::{Message, MessageType};
use ferretcd_base::MemberId;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::AbortHandle;
use tracing::{debug, info, warn};

use crate::link::{Link, StreamKind};
use crate::local_context::Local;
use crate::local_member::PeerReport;
use crate::message_queue::Refused;
use crate::{pipeline, prober, snapshot, stream_reader};

/// How much is known of another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is a member: streams go both ways.
    Member,
    /// It says to be one, and this member may not have learned of it yet: it is answered, no more.
    Stranger,
}

impl Standing {
    /// As whom somebody is counted: members by their ids, and all others as one, for they can say to be anybody.
    fn counted(self, id: MemberId) -> MemberId {
        match self {
            Self::Member => id,
            Self::Stranger => MemberId::default(),
        }
    }

    /// Logs what has become of somebody. Whoever invents members shall not fill the log.
    fn log(self, id: MemberId, message: &'static str) {
        match self {
            Self::Member => info!("remote-peer-id" = %id, "{message}"),
            Self::Stranger => debug!("remote-peer-id" = %id, "{message}"),
        }
    }
}

/// Another member. Dropping it ends all connections to it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: Arc<Link>,
    standing: Standing,
    pipeline: mpsc::Sender<Message>,
    /// Snapshots that wait for the one under way.
    snapshots: mpsc::Sender<Message>,
    tasks: Vec<AbortHandle>,
}

impl Peer {
    /// Begins to talk with a member.
    pub(crate) fn start(
        local: &Arc<Local>,
        id: MemberId,
        urls: &[String],
        standing: Standing,
        runtime: &Handle,
    ) -> Self {
        let link = Arc::new(Link::new(Arc::clone(local), id, standing.counted(id), urls));
        let (pipeline, messages) = mpsc::channel(pipeline::WAITING_MAX);
        let (snapshots, announced) = mpsc::channel(1);
        let spawn =
            |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| runtime.spawn(task).abort_handle();
        let mut tasks = vec![
            spawn(Box::pin(pipeline::run(Arc::clone(&link), messages))),
            spawn(Box::pin(snapshot::run(Arc::clone(&link), announced))),
        ];
        if standing == Standing::Member {
            for kind in [StreamKind::Appends, StreamKind::Messages] {
                tasks.push(spawn(Box::pin(stream_reader::run(Arc::clone(&link), kind))));
            }
            tasks.push(spawn(Box::pin(prober::run(Arc::clone(&link)))));
        }
        standing.log(id, "started remote peer");
        Self { link, standing, pipeline, snapshots, tasks }
    }

    /// Sends a message on the way that fits it, or reports it lost. Does not block.
    pub(crate) fn send(&self, message: Message) {
        let kind = message.r#type();
        let lost = match kind {
            MessageType::MsgSnap => self.snapshots.try_send(message).is_err().then_some("snapshots"),
            MessageType::MsgApp => self.send_on(StreamKind::Appends, message),
            _ => self.send_on(StreamKind::Messages, message),
        };
        let Some(way) = lost else { return };
        let local = &self.link.local;
        warn!(
            "message-type" = kind.as_str_name(),
            "local-member-id" = %local.id,
            "remote-peer-id" = %self.link.id,
            "remote-peer-name" = way,
            "remote-peer-active" = self.link.liveness.since().is_some(),
            "dropped internal Raft message since sending buffer is full"
        );
        self.link.counters.sent_failures.inc();
        local.member.report(PeerReport::Unreachable(self.link.id));
        if kind == MessageType::MsgSnap {
            local.member.report(PeerReport::Snapshot { to: self.link.id, is_sent: false });
        }
    }

    /// Tries the stream of a kind, then that of all messages, then a request. The name of the way if it is full.
    fn send_on(&self, kind: StreamKind, message: Message) -> Option<&'static str> {
        match (self.link.lane(kind).push(message), kind) {
            (Ok(()), _) => None,
            (Err(Refused::Full), StreamKind::Appends) => Some("streamMsgAppV2"),
            (Err(Refused::Full), StreamKind::Messages) => Some("streamMsg"),
            (Err(Refused::Detached(message)), StreamKind::Appends) => {
                self.send_on(StreamKind::Messages, *message)
            }
            (Err(Refused::Detached(message)), StreamKind::Messages) => {
                match self.pipeline.try_send(*message) {
                    Ok(()) | Err(TrySendError::Closed(_)) => None,
                    Err(TrySendError::Full(_)) => Some("pipeline"),
                }
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for kind in [StreamKind::Appends, StreamKind::Messages] {
            self.link.lane(kind).close();
        }
        self.standing.log(self.link.id, "stopped remote peer");
    }
}
