//! Checks whether all members have the same data.
//!
//! Members that have applied the same entries have the same history, and so the same hash at the same revision. The
//! leader compares the hashes now and then, and raises the alarm for members that differ from a quorum.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferretcd_api_proto::etcdserverpb::{AlarmType, alarm_request::AlarmAction};
use ferretcd_apply::Alarm;
use ferretcd_base::MemberId;
use ferretcd_mvcc::KvHash;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::facets::Facets;
use crate::peers::HashKv;
use crate::{Caller, Maintenance, MemberInfo, PeerError, PeerHash, Peers, StartError};

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Equal,
    /// A quorum agrees, and these do not agree with it.
    Corrupt(Vec<MemberId>),
    /// There are differences, and no quorum of equals.
    Undecided,
}

/// The members that differ from the hash that most of a cluster of `n_members` have.
fn compare(hashes: &[(MemberId, u32)], n_members: usize) -> Verdict {
    let mut groups: BTreeMap<u32, Vec<MemberId>> = BTreeMap::new();
    for (id, hash) in hashes {
        groups.entry(*hash).or_default().push(*id);
    }
    if groups.len() <= 1 {
        return Verdict::Equal;
    }
    let quorum = n_members / 2 + 1;
    let Some(right) = groups.iter().find(|(_, ids)| ids.len() >= quorum).map(|(hash, _)| *hash) else {
        return Verdict::Undecided;
    };
    groups.remove(&right);
    Verdict::Corrupt(groups.into_values().flatten().collect())
}

/// The members without the alarm. Raised again, it would fill the log and change nothing.
fn without_alarm(mut corrupt: Vec<MemberId>, alarms: &[Alarm]) -> Vec<MemberId> {
    corrupt.retain(|id| !alarms.contains(&Alarm { kind: AlarmType::Corrupt as i32, member: *id }));
    corrupt
}

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

    /// Compares with the other members before any client is served, if so configured. Members that do not respond,
    /// or cannot be compared, do not count.
    pub(crate) async fn at_start(&self) -> Result<(), StartError> {
        if !self.member.config().corruption_checks.at_start {
            return Ok(());
        }
        tracing::info!("local-member-id" = %self.member.id(), "starting initial corruption check");
        let own = self
            .maintenance
            .hash_kv(&Caller::MEMBER, 0)
            .await
            .map_err(|error| StartError::InitialCheck(error.to_string()))?;
        for (id, response) in self.peer_hashes(own.hash_revision).await {
            match response {
                Ok(theirs) if is_comparable(&own, &theirs) && theirs.hash != own.hash => {
                    tracing::warn!(
                        "local-member-revision" = own.hash_revision,
                        "local-member-hash" = own.hash,
                        "remote-peer-id" = %id,
                        "remote-peer-hash" = theirs.hash,
                        "found different hash values from remote peer"
                    );
                    return Err(StartError::Inconsistent { peer: id, revision: own.hash_revision });
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("remote-peer-id" = %id, %error, "failed to get the hash of a peer");
                }
            }
        }
        tracing::info!("local-member-id" = %self.member.id(), "initial corruption checking passed; no corruption");
        Ok(())
    }

    /// Compares the whole key space each time, while this member leads.
    pub(super) async fn run_periodically(self) {
        let Some(interval) = self.member.config().corruption_checks.periodic else { return };
        loop {
            sleep(interval).await;
            if !self.member.is_leader() {
                continue;
            }
            match self.maintenance.hash_kv(&Caller::MEMBER, 0).await {
                Ok(own) => drop(self.compare_with_peers(own).await),
                Err(error) => tracing::warn!(%error, "failed to check hash kv"),
            }
        }
    }

    /// Compares the hashes of finished compactions, each until all members could be compared.
    pub(super) async fn run_after_compactions(self) {
        let Some(interval) = self.member.config().corruption_checks.compactions else { return };
        let mut checked = 0;
        loop {
            sleep(interval).await;
            if !self.member.is_leader() {
                continue;
            }
            let hashes = self.maintenance.compaction_hashes();
            for hash in hashes.into_iter().filter(|hash| hash.hash_revision > checked).collect::<Vec<_>>() {
                if self.compare_with_peers(hash).await {
                    checked = hash.hash_revision;
                }
            }
        }
    }

    /// Returns whether all members could be compared and are equal.
    async fn compare_with_peers(&self, own: KvHash) -> bool {
        let responses = self.peer_hashes(own.hash_revision).await;
        let n_members = responses.len() + 1;
        let mut hashes = vec![(self.member.id(), own.hash)];
        for (id, response) in responses {
            match response {
                Ok(theirs) if is_comparable(&own, &theirs) => hashes.push((id, theirs.hash)),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("remote-peer-id" = %id, %error, "failed to get the hash of a peer");
                }
            }
        }
        let corrupt = match compare(&hashes, n_members) {
            Verdict::Equal => return hashes.len() == n_members,
            Verdict::Corrupt(ids) => ids,
            // No member is known to be right; etcd raises the alarm for no member then.
            Verdict::Undecided => vec![MemberId::default()],
        };
        // Each time, so that the log shows that it is still so.
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
            if let Err(error) =
                self.maintenance.set_alarm(AlarmType::Corrupt, id, AlarmAction::Activate).await
            {
                tracing::warn!(%error, "failed to raise the CORRUPT alarm");
            }
        }
        false
    }

    /// The hashes of all other members at a revision.
    async fn peer_hashes(&self, revision: i64) -> Vec<(MemberId, Result<PeerHash, PeerError>)> {
        let mut responses = JoinSet::new();
        let membership = self.member.membership();
        for id in membership.members().map(|member| member.id).filter(|id| *id != self.member.id()) {
            let response = self.peers.call(id, HashKv(revision));
            responses.spawn(async move { (id, response.await) });
        }
        responses.join_all().await
    }
}

/// Hashes can be compared only at the same revision, and if the same rows have been dropped.
pub(super) fn is_comparable(own: &KvHash, theirs: &PeerHash) -> bool {
    own.hash_revision == theirs.revision && own.compact_revision == theirs.compact_revision
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_differ_from_the_quorum_are_corrupt() {
        let check = |hashes: &[(u64, u32)], n_members, expected| {
            let hashes: Vec<_> = hashes.iter().map(|(id, hash)| (MemberId(*id), *hash)).collect();
            assert_eq!(compare(&hashes, n_members), expected, "{hashes:?} of {n_members}");
        };
        let corrupt = |ids: &[u64]| Verdict::Corrupt(ids.iter().copied().map(MemberId).collect());
        check(&[(1, 7)], 3, Verdict::Equal);
        check(&[(1, 7), (2, 7), (3, 7)], 3, Verdict::Equal);
        check(&[(1, 7), (2, 7), (3, 8)], 3, corrupt(&[3]));
        check(&[(1, 8), (2, 7), (3, 7)], 3, corrupt(&[1]));
        check(&[(1, 7), (2, 8)], 3, Verdict::Undecided);
        check(&[(1, 7), (2, 8)], 2, Verdict::Undecided);
        check(&[(1, 7), (2, 8), (3, 9)], 3, Verdict::Undecided);
        check(&[(1, 7), (2, 8), (3, 7), (4, 9), (5, 7)], 5, corrupt(&[2, 4]));
    }

    #[test]
    fn alarm_is_raised_once() {
        let alarm = |kind: AlarmType, member| Alarm { kind: kind as i32, member: MemberId(member) };
        let alarms =
            [alarm(AlarmType::Corrupt, 1), alarm(AlarmType::Nospace, 2), alarm(AlarmType::Corrupt, 0)];
        let check = |corrupt: &[u64], expected: &[u64]| {
            let found = without_alarm(corrupt.iter().copied().map(MemberId).collect(), &alarms);
            assert_eq!(found.iter().map(|id| id.0).collect::<Vec<_>>(), expected, "{corrupt:?}");
        };
        check(&[1, 2, 3], &[2, 3]);
        check(&[1], &[]);
        // The alarm of no member says that no member is known to be wrong.
        check(&[0], &[]);
    }
}
