//! The checks of a running leader.

use ferretcd_api_proto::etcdserverpb::{AlarmType, alarm_request::AlarmAction};
use ferretcd_base::MemberId;
use ferretcd_mvcc::KvHash;
use tokio::time::sleep;

use super::verdict::{Verdict, compare, without_alarm};
use super::{CorruptionCheck, PeerHashes, is_comparable};
use crate::{Caller, PeerError, PeerHash, RequestError};

/// One hash of this member, compared with those of the others.
struct Comparison {
    n_peers: usize,
    /// Peers whose hash could be compared.
    n_compared: usize,
    is_equal: bool,
}

impl Comparison {
    /// Whether all members were compared and are equal.
    fn is_final(&self) -> bool {
        self.is_equal && self.n_compared == self.n_peers
    }
}

impl CorruptionCheck {
    /// Compares the whole key space each time, while this member leads.
    pub(in crate::controllers) async fn run_periodically(self) {
        let Some(interval) = self.member.config().corruption_checks.periodic else { return };
        tracing::info!(
            "local-member-id" = %self.member.id(),
            interval = format!("{interval:?}"),
            "enabled corruption checking"
        );
        loop {
            sleep(interval).await;
            if self.member.is_leader()
                && let Err(error) = self.check_all().await
            {
                tracing::warn!(%error, "failed to check hash KV");
            }
        }
    }

    async fn check_all(&self) -> Result<(), RequestError> {
        tracing::info!(
            "local-member-id" = %self.member.id(),
            timeout = self.shown_timeout(),
            "starting peer corruption check"
        );
        let own = self.maintenance.hash_kv(&Caller::MEMBER, 0).await?;
        let compared = self.compare(own, self.newest_peer_hashes(&own).await).await;
        tracing::info!(
            "number-of-peers-checked" = compared.n_compared,
            "number-of-peers" = compared.n_peers,
            revision = own.hash_revision,
            "finished peer corruption check"
        );
        Ok(())
    }

    /// Compares the hashes of finished compactions, each until all members could be compared.
    pub(in crate::controllers) async fn run_after_compactions(self) {
        let Some(interval) = self.member.config().corruption_checks.compactions else { return };
        let mut checked = 0;
        loop {
            sleep(interval).await;
            if self.member.is_leader() {
                checked = self.check_compactions(checked).await;
            }
        }
    }

    /// Compares the hashes behind the revision `checked`. Returns up to which one all members could be compared.
    async fn check_compactions(&self, mut checked: i64) -> i64 {
        tracing::info!(
            "local-member-id" = %self.member.id(),
            timeout = self.shown_timeout(),
            "starting compact hash check"
        );
        let mut hashes = self.maintenance.compaction_hashes();
        hashes.retain(|hash| hash.hash_revision > checked);
        for hash in &hashes {
            let compared = self.compare(*hash, self.peer_hashes(hash.hash_revision).await).await;
            if compared.is_final() {
                checked = hash.hash_revision;
            }
            if compared.n_peers > 0 {
                log_compaction(hash, &compared);
            }
        }
        tracing::info!("number-of-hashes-checked" = hashes.len(), "finished compaction hash check");
        checked
    }

    async fn compare(&self, own: KvHash, responses: PeerHashes) -> Comparison {
        let n_peers = responses.len();
        let mut hashes = vec![(self.member.id(), own.hash)];
        for (id, response) in responses {
            match skip_reason(&own, &response) {
                None => hashes.extend(response.ok().map(|theirs| (id, theirs.hash))),
                Some(reason) => tracing::warn!(
                    "number-of-peers" = n_peers,
                    "leader-id" = %self.member.id(),
                    "peer-id" = %id,
                    reason,
                    "Skipped peer's hash"
                ),
            }
        }
        let verdict = compare(&hashes, n_peers + 1);
        let is_equal = verdict == Verdict::Equal;
        match verdict {
            Verdict::Equal => {}
            Verdict::Corrupt(ids) => self.report(ids, &own, &hashes).await,
            // No member is known to be right; etcd raises the alarm for no member then.
            Verdict::Undecided => self.report(vec![MemberId::default()], &own, &hashes).await,
        }
        Comparison { n_peers, n_compared: hashes.len() - 1, is_equal }
    }

    /// Raises the alarm for members that do not have it. Logs each time, so that the log shows that it is still so.
    async fn report(&self, corrupt: Vec<MemberId>, own: &KvHash, hashes: &[(MemberId, u32)]) {
        for id in &corrupt {
            tracing::error!(
                "mismatched-member-id" = %id,
                revision = own.hash_revision,
                "compact-revision" = own.compact_revision,
                hashes = ?hashes.iter().map(|(id, hash)| format!("{id}:{hash}")).collect::<Vec<_>>(),
                "found hash mismatch"
            );
        }
        for id in without_alarm(corrupt, &self.member.alarms()) {
            tracing::warn!("mismatched-member-id" = %id, "raising the CORRUPT alarm");
            let raised = self.maintenance.set_alarm(AlarmType::Corrupt, id, AlarmAction::Activate);
            if let Err(error) = raised.await {
                tracing::warn!(%error, "failed to raise the CORRUPT alarm");
            }
        }
    }
}

/// Why the hash of a peer cannot be compared; `None` if it can.
fn skip_reason(own: &KvHash, response: &Result<PeerHash, PeerError>) -> Option<String> {
    match response {
        Err(_) => Some("no response".to_owned()),
        Ok(theirs) if is_comparable(own, theirs) => None,
        Ok(theirs) if theirs.compact_revision != own.compact_revision => Some(format!(
            "the peer's CompactRevision {} doesn't match leader's CompactRevision {}",
            theirs.compact_revision, own.compact_revision
        )),
        Ok(theirs) => Some(format!(
            "the peer's revision {} doesn't match leader's revision {}",
            theirs.revision, own.hash_revision
        )),
    }
}

fn log_compaction(hash: &KvHash, compared: &Comparison) {
    if compared.is_final() {
        tracing::info!(
            "number-of-peers-checked" = compared.n_compared,
            revision = hash.hash_revision,
            "compactRevision" = hash.compact_revision,
            "successfully checked hash on whole cluster"
        );
    } else if compared.is_equal {
        tracing::warn!(
            "number-of-peers-checked" = compared.n_compared,
            "number-of-peers" = compared.n_peers,
            revision = hash.hash_revision,
            "compactRevision" = hash.compact_revision,
            "skipped revision in compaction hash check; was not able to check all peers"
        );
    }
}
