//! Checks whether all members have the same data.
//!
//! Members that have applied the same entries have the same history, and so the same hash at the same revision. The
//! leader compares the hashes now and then, and raises the alarm for members that differ from a quorum. Each round logs
//! its start, its end and what it compared, so that a check that finds nothing can be told from one that never runs.

mod at_start;
mod rounds;
mod verdict;

use std::sync::Arc;

use ferretcd_base::MemberId;
use ferretcd_mvcc::KvHash;
use tokio::task::JoinSet;

use crate::facets::Facets;
use crate::peers::HashKv;
use crate::{Maintenance, MemberInfo, PeerError, PeerHash, Peers};

/// The responses of the other members.
type PeerHashes = Vec<(MemberId, Result<PeerHash, PeerError>)>;

/// Compares the hashes of all members.
#[derive(Debug)]
pub(crate) struct CorruptionCheck {
    maintenance: Maintenance,
    peers: Arc<dyn Peers>,
    member: MemberInfo,
}

impl CorruptionCheck {
    pub(crate) fn new(facets: &Facets) -> Self {
        let Facets { cluster, maintenance, member, .. } = facets.clone();
        Self { maintenance, peers: Arc::clone(cluster.peers()), member }
    }

    /// The hashes of all other members at the newest revision of this one, whose hash is `own`.
    async fn newest_peer_hashes(&self, own: &KvHash) -> PeerHashes {
        // At the revision of the last compaction the others would send the hash that they kept of the history before it.
        // Nothing was written since, so theirs is the newest one as well.
        let is_compacted = own.hash_revision == own.compact_revision;
        self.peer_hashes(if is_compacted { 0 } else { own.hash_revision }).await
    }

    /// The hashes of all other members at a revision, 0 for the newest of each. Logs which members sent none.
    async fn peer_hashes(&self, revision: i64) -> PeerHashes {
        let mut responses = JoinSet::new();
        let membership = self.member.membership();
        for id in membership.members().map(|member| member.id).filter(|id| *id != self.member.id()) {
            let response = self.peers.call(id, HashKv(revision));
            responses.spawn(async move { (id, response.await) });
        }
        let responses = responses.join_all().await;
        for (id, response) in &responses {
            if let Err(error) = response {
                tracing::warn!(
                    "local-member-id" = %self.member.id(),
                    "requested-revision" = revision,
                    "remote-peer-id" = %id,
                    %error,
                    "failed hash kv request"
                );
            }
        }
        responses
    }

    /// How long a round may wait for each peer, as log lines show it.
    fn shown_timeout(&self) -> String {
        format!("{:?}", self.member.config().request_timeout())
    }
}

/// Hashes can be compared only at the same revision, and if the same rows have been dropped.
pub(super) fn is_comparable(own: &KvHash, theirs: &PeerHash) -> bool {
    own.hash_revision == theirs.revision && own.compact_revision == theirs.compact_revision
}
