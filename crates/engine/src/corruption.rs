//! Whether all members have the same data.
//!
//! Members that have applied the same entries have the same history, and so the same hash at the same revision. The
//! leader compares now and then, and raises the alarm for those that differ from a quorum.

use std::collections::BTreeMap;
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{AlarmRequest, AlarmType, alarm_request::AlarmAction};
use ferretcd_apply::Alarm;
use ferretcd_base::MemberId;
use ferretcd_mvcc::KvHash;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::peers::HashKv;
use crate::{Engine, PeerError, PeerHash, RequestError, StartError};

/// How long a member that is asked for its hash waits for the revision to be applied.
const APPLY_PATIENCE: Duration = Duration::from_secs(3);
/// How often it looks.
const APPLY_PAUSE: Duration = Duration::from_millis(10);

/// When hashes are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptionChecks {
    /// Before the member serves anybody, with the others: whoever differs does not start.
    pub at_start: bool,
    /// The whole key space, each time after this; `None` for never. Every member reads all of it then.
    pub periodic: Option<Duration>,
    /// The hashes that compactions leave behind anyway; `None` for never.
    pub compactions: Option<Duration>,
}

/// What a comparison says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Equal,
    /// A quorum agrees, and these do not agree with it.
    Corrupt(Vec<MemberId>),
    /// There are differences, and no quorum of equals.
    Undecided,
}

/// Who differs from the hash that most of a cluster of `n_members` have.
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

/// Those for whom the alarm has yet to be raised. Raised again, it would fill the log and change nothing.
fn without_alarm(mut corrupt: Vec<MemberId>, alarms: &[Alarm]) -> Vec<MemberId> {
    corrupt.retain(|id| !alarms.contains(&Alarm { kind: AlarmType::Corrupt as i32, member: *id }));
    corrupt
}

impl Engine {
    /// As [`Self::hash_kv`], for another member that may be ahead of this one.
    pub(crate) async fn hash_kv_here(&self, revision: i64) -> Result<KvHash, RequestError> {
        let deadline = Instant::now() + APPLY_PATIENCE;
        while self.reader().revision() < revision && Instant::now() < deadline {
            sleep(APPLY_PAUSE).await;
        }
        self.hash_kv(revision).await
    }

    /// Compares with the other members before anybody is served, if that was asked for. Those that do not answer,
    /// or cannot be compared, do not count.
    pub async fn check_at_start(&self) -> Result<(), StartError> {
        if !self.config().corruption_checks.at_start {
            return Ok(());
        }
        tracing::info!("local-member-id" = %self.member_id(), "starting initial corruption check");
        let own = self.hash_kv(0).await.map_err(|error| StartError::InitialCheck(error.to_string()))?;
        for (id, answer) in self.ask_for_hashes(own.hash_revision).await {
            match answer {
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
        tracing::info!("local-member-id" = %self.member_id(), "initial corruption checking passed; no corruption");
        Ok(())
    }

    /// Compares the whole key space each time, while this member leads.
    pub(crate) async fn check_periodically(self) {
        let Some(interval) = self.config().corruption_checks.periodic else { return };
        loop {
            sleep(interval).await;
            if !self.is_leader() {
                continue;
            }
            match self.hash_kv(0).await {
                Ok(own) => drop(self.compare_with_others(own).await),
                Err(error) => tracing::warn!(%error, "failed to check hash kv"),
            }
        }
    }

    /// Compares the hashes of finished compactions, each until all members could be compared.
    pub(crate) async fn check_compactions(self) {
        let Some(interval) = self.config().corruption_checks.compactions else { return };
        let mut checked = 0;
        loop {
            sleep(interval).await;
            if !self.is_leader() {
                continue;
            }
            let unchecked =
                self.reader().finished_hashes().into_iter().filter(|hash| hash.hash_revision > checked);
            for hash in unchecked.collect::<Vec<_>>() {
                if self.compare_with_others(hash).await {
                    checked = hash.hash_revision;
                }
            }
        }
    }

    /// Returns whether all members could be compared and are equal.
    async fn compare_with_others(&self, own: KvHash) -> bool {
        let answers = self.ask_for_hashes(own.hash_revision).await;
        let n_members = answers.len() + 1;
        let mut hashes = vec![(self.member_id(), own.hash)];
        for (id, answer) in answers {
            match answer {
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
            // Nobody can tell who is right; etcd's way to say so.
            Verdict::Undecided => vec![MemberId::default()],
        };
        // Each time: whoever looks at the log shall see that it is still so.
        for id in &corrupt {
            tracing::error!(
                "mismatched-member-id" = %id,
                revision = own.hash_revision,
                "compact-revision" = own.compact_revision,
                hashes = ?hashes.iter().map(|(id, hash)| format!("{id}:{hash}")).collect::<Vec<_>>(),
                "found hash mismatch"
            );
        }
        for id in without_alarm(corrupt, &self.alarms()) {
            tracing::warn!("mismatched-member-id" = %id, "raising the CORRUPT alarm");
            if let Err(error) = self.set_corrupt(id, AlarmAction::Activate).await {
                tracing::warn!(%error, "failed to raise the CORRUPT alarm");
            }
        }
        false
    }

    /// The hashes of all other members at a revision.
    async fn ask_for_hashes(&self, revision: i64) -> Vec<(MemberId, Result<PeerHash, PeerError>)> {
        let mut answers = JoinSet::new();
        let membership = self.membership();
        for id in membership.members().map(|member| member.id).filter(|id| *id != self.member_id()) {
            let asked = self.peers().call(id, HashKv(revision));
            answers.spawn(async move { (id, asked.await) });
        }
        answers.join_all().await
    }

    pub(crate) async fn set_corrupt(&self, id: MemberId, action: AlarmAction) -> Result<(), RequestError> {
        let request =
            AlarmRequest { action: action as i32, member_id: id.0, alarm: AlarmType::Corrupt as i32 };
        self.alarm(request).await.map(drop)
    }
}

/// Hashes say something about each other only at the same revision, and if the same rows have been dropped.
pub(crate) fn is_comparable(own: &KvHash, theirs: &PeerHash) -> bool {
    own.hash_revision == theirs.revision && own.compact_revision == theirs.compact_revision
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quorum_is_right() {
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
    fn an_alarm_is_raised_once() {
        let alarm = |kind: AlarmType, member| Alarm { kind: kind as i32, member: MemberId(member) };
        let alarms =
            [alarm(AlarmType::Corrupt, 1), alarm(AlarmType::Nospace, 2), alarm(AlarmType::Corrupt, 0)];
        let check = |corrupt: &[u64], expected: &[u64]| {
            let found = without_alarm(corrupt.iter().copied().map(MemberId).collect(), &alarms);
            assert_eq!(found.iter().map(|id| id.0).collect::<Vec<_>>(), expected, "{corrupt:?}");
        };
        check(&[1, 2, 3], &[2, 3]);
        check(&[1], &[]);
        // Nobody knows who is wrong, which was said as well.
        check(&[0], &[]);
    }
}
