//! The check before a member serves clients.

use ferretcd_base::MemberId;
use ferretcd_mvcc::KvHash;

use super::{CorruptionCheck, is_comparable};
use crate::{Caller, PeerError, PeerHash, StartError};

impl CorruptionCheck {
    /// Compares with the other members before any client is served, if so configured. Members that do not respond,
    /// or cannot be compared, do not count.
    pub(crate) async fn at_start(&self) -> Result<(), StartError> {
        if !self.member.config().corruption_checks.at_start {
            return Ok(());
        }
        tracing::info!(
            "local-member-id" = %self.member.id(),
            timeout = self.shown_timeout(),
            "starting initial corruption check"
        );
        let own = self.maintenance.hash_kv(&Caller::MEMBER, 0).await;
        let own = own.map_err(|error| StartError::InitialCheck(error.to_string()))?;
        let responses = self.newest_peer_hashes(&own).await;
        let n_peers = responses.len();
        let (mut n_compared, mut inconsistent) = (0, None);
        for (id, response) in responses {
            if let Ok(theirs) = &response
                && is_comparable(&own, theirs)
            {
                n_compared += 1;
                if theirs.hash != own.hash {
                    inconsistent = inconsistent.or(Some(id));
                }
            }
            self.log_difference(id, &own, &response);
        }
        if let Some(peer) = inconsistent {
            return Err(StartError::Inconsistent { peer, revision: own.hash_revision });
        }
        tracing::info!(
            "local-member-id" = %self.member.id(),
            "number-of-peers-checked" = n_compared,
            "number-of-peers" = n_peers,
            "initial corruption checking passed; no corruption"
        );
        Ok(())
    }

    fn log_difference(&self, id: MemberId, own: &KvHash, response: &Result<PeerHash, PeerError>) {
        let message = match response {
            Ok(theirs) if own.compact_revision != theirs.compact_revision => {
                "found different compact revision values from remote peer"
            }
            Ok(theirs) if is_comparable(own, theirs) && theirs.hash != own.hash => {
                "found different hash values from remote peer"
            }
            Err(PeerError::FutureRevision) => "cannot fetch hash from slow remote peer",
            Err(PeerError::Compacted) => "cannot fetch hash from remote peer; local member is behind",
            _ => return,
        };
        let theirs = response.as_ref().ok();
        tracing::warn!(
            "local-member-id" = %self.member.id(),
            "local-member-revision" = own.hash_revision,
            "local-member-compact-revision" = own.compact_revision,
            "local-member-hash" = own.hash,
            "remote-peer-id" = %id,
            "remote-peer-revision" = theirs.map(|theirs| theirs.revision),
            "remote-peer-compact-revision" = theirs.map(|theirs| theirs.compact_revision),
            "remote-peer-hash" = theirs.map(|theirs| theirs.hash),
            "{message}"
        );
    }
}
