//! The tasks that keep the connections to a peer.

use std::sync::Arc;

use ferretcd_base::MemberId;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::{debug, info};

use crate::local_context::LocalContext;
use crate::peer::{Outbox, Peer, StreamKind};
use crate::{pipeline, prober, snapshot, stream_reader};

/// What this member knows of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerKind {
    /// A member: streams go both ways.
    Member,
    /// A peer that claims to be a member. The local member may not have learned of it yet, so messages are posted to it,
    /// and nothing is read from it.
    Remote,
}

impl PeerKind {
    /// The id in the metrics: members have their own, and all remotes share one, because they can invent ids.
    fn counted(self, id: MemberId) -> MemberId {
        match self {
            Self::Member => id,
            Self::Remote => MemberId::default(),
        }
    }

    /// Logs a change of the peer. Invented members must not fill the log.
    fn log(self, id: MemberId, message: &'static str) {
        match self {
            Self::Member => info!("remote-peer-id" = %id, "{message}"),
            Self::Remote => debug!("remote-peer-id" = %id, "{message}"),
        }
    }
}

/// A peer with its tasks. Dropping it ends all connections to the peer.
#[derive(Debug)]
pub(crate) struct PeerTasks {
    pub(crate) peer: Arc<Peer>,
    kind: PeerKind,
    tasks: Vec<AbortHandle>,
}

impl PeerTasks {
    /// Starts the connections to a peer.
    pub(crate) fn start(
        local: &Arc<LocalContext>,
        id: MemberId,
        urls: &[String],
        kind: PeerKind,
        runtime: &Handle,
    ) -> Self {
        let (pipeline, messages) = mpsc::channel(pipeline::WAITING_MAX);
        let (snapshots, announced) = mpsc::channel(1);
        let outbox = Outbox { pipeline, snapshots };
        let peer = Arc::new(Peer::new(Arc::clone(local), id, kind.counted(id), urls, outbox));
        let spawn =
            |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| runtime.spawn(task).abort_handle();
        let mut tasks = vec![
            spawn(Box::pin(pipeline::run(Arc::clone(&peer), messages))),
            spawn(Box::pin(snapshot::run(Arc::clone(&peer), announced))),
        ];
        if kind == PeerKind::Member {
            for stream in [StreamKind::Appends, StreamKind::Messages] {
                tasks.push(spawn(Box::pin(stream_reader::run(Arc::clone(&peer), stream))));
            }
            tasks.push(spawn(Box::pin(prober::run(Arc::clone(&peer)))));
        }
        kind.log(id, "started remote peer");
        Self { peer, kind, tasks }
    }
}

impl Drop for PeerTasks {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for stream in [StreamKind::Appends, StreamKind::Messages] {
            self.peer.queue(stream).close();
        }
        self.kind.log(self.peer.id, "stopped remote peer");
    }
}
