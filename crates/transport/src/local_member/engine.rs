//! The engine as the local member.

use std::io;

use ferretcd_base::{ClusterId, MemberId};
use ferretcd_engine::{Engine, PeerFuture, PeerRequest, PeerResponse};
use ferretcd_raft_node::Message;
use ferretcd_wal::SnapshotMark;

use super::{LocalMember, OutgoingSnapshot, PeerReport};

impl LocalMember for Engine {
    fn id(&self) -> MemberId {
        self.member_id()
    }

    fn cluster_id(&self) -> ClusterId {
        Engine::cluster_id(self)
    }

    fn members(&self) -> Vec<ferretcd_membership::Member> {
        self.membership().members().cloned().collect()
    }

    fn receive(&self, message: Message) {
        Engine::receive(self, message);
    }

    fn report(&self, report: PeerReport) {
        match report {
            PeerReport::Unreachable(id) => self.report_unreachable(id),
            PeerReport::Snapshot { to, is_sent } => self.report_snapshot(to, is_sent),
            PeerReport::Removed => self.removed(),
        }
    }

    fn serve(&self, request: PeerRequest) -> PeerFuture<PeerResponse> {
        let engine = self.clone();
        Box::pin(async move { engine.serve_peer(request).await })
    }

    fn open_snapshot(&self, at_least: u64) -> io::Result<OutgoingSnapshot> {
        let snapshot = Engine::open_snapshot(self, at_least).map_err(io::Error::other)?;
        let (mark, len) = (snapshot.mark().clone(), snapshot.size());
        Ok(OutgoingSnapshot { mark, len, body: Box::new(snapshot) })
    }

    fn accept_snapshot(
        &self,
        mark: SnapshotMark,
        _: MemberId,
        len: Option<u64>,
        body: &mut dyn io::Read,
    ) -> io::Result<()> {
        Engine::accept_snapshot(self, mark.index, len, body).map(drop).map_err(io::Error::other)
    }
}
