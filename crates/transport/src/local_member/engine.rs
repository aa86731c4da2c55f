//! The engine as the local member.

use std::io;

use ferretcd_base::{ClusterId, MemberId};
use ferretcd_engine::{Caller, Engine, PeerFuture, PeerRequest, PeerResponse};
use ferretcd_raft_node::Message;
use ferretcd_wal::SnapshotMark;

use super::{LocalMember, OutgoingSnapshot, PeerReport};

impl LocalMember for Engine {
    fn id(&self) -> MemberId {
        self.member().id()
    }

    fn cluster_id(&self) -> ClusterId {
        self.member().cluster_id()
    }

    fn members(&self) -> Vec<ferretcd_membership::Member> {
        self.member().membership().members().cloned().collect()
    }

    fn receive(&self, message: Message) {
        self.cluster().receive(message);
    }

    fn report(&self, report: PeerReport) {
        match report {
            PeerReport::Unreachable(id) => self.cluster().report_unreachable(id),
            PeerReport::Snapshot { to, is_sent } => self.cluster().report_snapshot(to, is_sent),
            PeerReport::Removed => self.cluster().removed(),
        }
    }

    fn serve(&self, caller: &Caller, request: PeerRequest) -> PeerFuture<PeerResponse> {
        let (engine, caller) = (self.clone(), caller.clone());
        Box::pin(async move { engine.serve_peer(&caller, request).await })
    }

    fn open_snapshot(&self, at_least: u64) -> io::Result<OutgoingSnapshot> {
        let snapshot =
            self.maintenance().open_snapshot(&Caller::MEMBER, at_least).map_err(io::Error::other)?;
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
        let accepted = self.maintenance().accept_snapshot(&Caller::MEMBER, mark.index, len, body);
        accepted.map(drop).map_err(io::Error::other)
    }
}
