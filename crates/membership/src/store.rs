//! The replicated list of members.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::MemberId;

use crate::downgrade::Downgrade;
use crate::{Change, ChangeError, Member, Version};

/// Row of bucket `cluster` that holds the cluster version.
const CLUSTER_VERSION: &[u8] = b"clusterVersion";
/// Row of bucket `cluster` that holds the downgrade.
const DOWNGRADE: &[u8] = b"downgrade";
/// Value of the rows of bucket `members_removed`.
const REMOVED: &[u8] = b"removed";

/// The members of a cluster now, those removed for ever, the cluster version, and the downgrade in progress.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    members: BTreeMap<MemberId, Member>,
    removed: BTreeSet<MemberId>,
    /// `X.Y.0`, or empty while the cluster has not decided it.
    version: String,
    downgrade: Downgrade,
}

/// Why the stored members could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state file could not be read.
    #[error("read the members from the state file: {0}")]
    Backend(#[from] ferretcd_backend::Error),
    /// A row of a bucket does not have the form that it must have.
    #[error("read the members from the state file: bucket {bucket} has a row that is none: {row}")]
    Corrupt {
        /// Name of the bucket.
        bucket: &'static str,
        /// The row's key.
        row: String,
    },
}

impl Membership {
    /// Reads what earlier changes stored.
    pub fn open(backend: &Backend) -> Result<Self, OpenError> {
        let view = backend.view();
        let mut membership = Self::default();
        for row in view.range(Bucket::Members, (Bound::Unbounded, Bound::Unbounded))? {
            let (key, value) = row?;
            let member = Member::from_json(&value).map_err(|_| corrupt(Bucket::Members, &key))?;
            membership.members.insert(member.id, member);
        }
        for row in view.range(Bucket::MembersRemoved, (Bound::Unbounded, Bound::Unbounded))? {
            let (key, _) = row?;
            let id = parse_id(&key).ok_or_else(|| corrupt(Bucket::MembersRemoved, &key))?;
            membership.removed.insert(id);
        }
        if let Some(version) = view.get(Bucket::Cluster, CLUSTER_VERSION)? {
            membership.version =
                String::from_utf8(version.to_vec()).map_err(|_| corrupt(Bucket::Cluster, CLUSTER_VERSION))?;
        }
        if let Some(downgrade) = view.get(Bucket::Cluster, DOWNGRADE)? {
            membership.downgrade =
                Downgrade::from_json(&downgrade).map_err(|_| corrupt(Bucket::Cluster, DOWNGRADE))?;
        }
        Ok(membership)
    }

    /// Replaces all members, and what is known of removed ones, by the founders of another cluster, which is not being
    /// downgraded.
    pub fn refound(&mut self, founders: Vec<Member>, batch: &mut Batch) {
        self.members.keys().for_each(|id| batch.delete(Bucket::Members, row_key(*id)));
        self.removed.iter().for_each(|id| batch.delete(Bucket::MembersRemoved, row_key(*id)));
        founders.iter().for_each(|founder| store(founder, batch));
        batch.delete(Bucket::Cluster, DOWNGRADE);
        self.downgrade = Downgrade::default();
        self.members = founders.into_iter().map(|founder| (founder.id, founder)).collect();
        self.removed.clear();
    }

    /// The members in ascending order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// One member, unless it never was one or was removed.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// Ids of the members that count in quorums, ascending. With [`Self::non_voters`] it is the configuration of the
    /// consensus core.
    pub fn voters(&self) -> impl Iterator<Item = MemberId> {
        self.members().filter(|member| member.is_voter()).map(|member| member.id)
    }

    /// Ids of the members that get the log and do not count, ascending: learners, and members that are joining.
    pub fn non_voters(&self) -> impl Iterator<Item = MemberId> {
        self.members().filter(|member| !member.is_voter()).map(|member| member.id)
    }

    /// Whether the id was removed earlier.
    pub fn is_removed(&self, id: MemberId) -> bool {
        self.removed.contains(&id)
    }

    /// The cluster version as `X.Y.0`; `None` until the cluster has decided it.
    pub fn version(&self) -> Option<&str> {
        (!self.version.is_empty()).then_some(self.version.as_str())
    }

    /// The version of the layout of the state file, which follows the cluster version; `None` until that is decided, and
    /// before 3.6.
    pub fn storage_version(&self) -> Option<Version> {
        self.version.parse().ok().and_then(Version::storage)
    }

    /// Where the downgrade in progress leads, as `X.Y.0`; `None` if there is none.
    pub fn downgrade_target(&self) -> Option<&str> {
        self.downgrade.target()
    }

    /// Changes the members and adds the rows of the change to `batch`; rejects what etcd rejects. A rejection
    /// depends on nothing but earlier changes and this one, so it is the same on all members.
    pub fn change(&mut self, change: Change, batch: &mut Batch) -> Result<(), ChangeError> {
        match change {
            Change::Add { member, learners_max } => self.add(member, learners_max, batch),
            Change::Promote(id) => {
                let member = self.existing(id)?;
                if member.is_voter() {
                    return Err(ChangeError::NotLearner(id));
                }
                member.is_learner = false;
                member.is_joining = false;
                store(member, batch);
                Ok(())
            }
            Change::UpdatePeerUrls(id, peer_urls) => {
                self.existing(id)?;
                self.reject_foreign_urls(id, &peer_urls)?;
                let member = self.existing(id)?;
                member.peer_urls = peer_urls;
                store(member, batch);
                Ok(())
            }
            Change::Remove(id) => {
                self.existing(id)?;
                if self.voters().eq([id]) {
                    return Err(ChangeError::LastVoter(id));
                }
                self.members.remove(&id);
                self.removed.insert(id);
                batch.delete(Bucket::Members, row_key(id));
                batch.put(Bucket::MembersRemoved, row_key(id), REMOVED);
                Ok(())
            }
        }
    }

    /// Sets what a member publishes of itself when it has started.
    pub fn set_attributes(
        &mut self,
        id: MemberId,
        name: String,
        client_urls: Vec<String>,
        batch: &mut Batch,
    ) -> Result<(), ChangeError> {
        let member = self.existing(id)?;
        member.name = name;
        member.client_urls = client_urls;
        store(member, batch);
        Ok(())
    }

    /// Sets the cluster version, `X.Y.0`.
    pub fn set_version(&mut self, version: String, batch: &mut Batch) {
        batch.put(Bucket::Cluster, CLUSTER_VERSION, version.clone());
        self.version = version;
    }

    /// Begins a downgrade to `target`, or ends the one in progress for `None`.
    pub fn set_downgrade(&mut self, target: Option<String>, batch: &mut Batch) {
        self.downgrade = target.map(Downgrade::to).unwrap_or_default();
        batch.put(Bucket::Cluster, DOWNGRADE, self.downgrade.to_json());
    }

    fn add(&mut self, member: Member, learners_max: usize, batch: &mut Batch) -> Result<(), ChangeError> {
        if self.removed.contains(&member.id) {
            return Err(ChangeError::IdRemoved(member.id));
        }
        if self.members.contains_key(&member.id) {
            return Err(ChangeError::IdExists(member.id));
        }
        self.reject_foreign_urls(member.id, &member.peer_urls)?;
        let learners = self.members().filter(|member| member.is_learner).count();
        if member.is_learner && learners >= learners_max {
            return Err(ChangeError::TooManyLearners { learners, max: learners_max });
        }
        store(&member, batch);
        self.members.insert(member.id, member);
        Ok(())
    }

    fn existing(&mut self, id: MemberId) -> Result<&mut Member, ChangeError> {
        if self.removed.contains(&id) {
            return Err(ChangeError::IdRemoved(id));
        }
        self.members.get_mut(&id).ok_or(ChangeError::NotFound(id))
    }

    fn reject_foreign_urls(&self, id: MemberId, peer_urls: &[String]) -> Result<(), ChangeError> {
        let owner = self
            .members
            .values()
            .find(|member| member.id != id && member.peer_urls.iter().any(|url| peer_urls.contains(url)));
        owner.map_or(Ok(()), |member| Err(ChangeError::PeerUrlExists(member.id)))
    }
}

fn store(member: &Member, batch: &mut Batch) {
    batch.put(Bucket::Members, row_key(member.id), member.to_json());
}

fn row_key(id: MemberId) -> String {
    id.to_string()
}

fn parse_id(key: &[u8]) -> Option<MemberId> {
    let text = std::str::from_utf8(key).ok()?;
    u64::from_str_radix(text, 16).ok().map(MemberId)
}

fn corrupt(bucket: Bucket, key: &[u8]) -> OpenError {
    OpenError::Corrupt { bucket: bucket.name(), row: key.escape_ascii().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, url: &str, is_learner: bool) -> Member {
        Member { id: MemberId(id), peer_urls: vec![url.to_owned()], is_learner, ..Member::default() }
    }

    fn add(id: u64, url: &str, is_learner: bool) -> Change {
        Change::add(member(id, url, is_learner))
    }

    /// Applies changes one by one and checks each result, then that a reopened store is the same.
    fn check(changes: Vec<(Change, Result<(), ChangeError>)>, members: &[Member]) {
        let backend = Backend::in_memory();
        let mut membership = Membership::open(&backend).expect("empty");
        for (change, expected) in changes {
            let mut batch = Batch::default();
            assert_eq!(membership.change(change.clone(), &mut batch), expected, "{change:?}");
            assert_eq!(batch.is_empty(), expected.is_err(), "rows only for what was changed");
            backend.commit(&batch).expect("memory");
        }
        for store in [membership, Membership::open(&backend).expect("own rows")] {
            assert_eq!(store.members().cloned().collect::<Vec<_>>(), members);
        }
    }

    #[test]
    fn members_come_change_and_go() {
        let (one, two) = (MemberId(1), MemberId(2));
        check(
            vec![
                (add(1, "http://a", false), Ok(())),
                (add(1, "http://b", false), Err(ChangeError::IdExists(one))),
                (add(2, "http://a", false), Err(ChangeError::PeerUrlExists(one))),
                (add(2, "http://b", true), Ok(())),
                (Change::UpdatePeerUrls(two, vec!["http://a".into()]), Err(ChangeError::PeerUrlExists(one))),
                (Change::UpdatePeerUrls(two, vec!["http://c".into()]), Ok(())),
                (Change::Promote(one), Err(ChangeError::NotLearner(one))),
                (Change::Promote(two), Ok(())),
                (Change::Promote(MemberId(9)), Err(ChangeError::NotFound(MemberId(9)))),
                (Change::Remove(one), Ok(())),
                (Change::Remove(one), Err(ChangeError::IdRemoved(one))),
                (add(1, "http://z", false), Err(ChangeError::IdRemoved(one))),
            ],
            &[member(2, "http://c", false)],
        );
    }

    #[test]
    fn learners_and_members_that_join_become_voters() {
        let joining = Member { is_joining: true, ..member(3, "http://c", false) };
        let (three, nine) = (MemberId(3), MemberId(9));
        check(
            vec![
                (add(1, "http://a", false), Ok(())),
                (add(2, "http://b", true), Ok(())),
                (add(4, "http://d", true), Err(ChangeError::TooManyLearners { learners: 1, max: 1 })),
                // A joining member takes no learner's place.
                (Change::add(joining), Ok(())),
                (Change::Add { member: member(4, "http://d", true), learners_max: 2 }, Ok(())),
                (Change::Promote(three), Ok(())),
                (Change::Promote(three), Err(ChangeError::NotLearner(three))),
                (Change::Promote(nine), Err(ChangeError::NotFound(nine))),
            ],
            &[
                member(1, "http://a", false),
                member(2, "http://b", true),
                member(3, "http://c", false),
                member(4, "http://d", true),
            ],
        );
    }

    #[test]
    fn the_last_voter_cannot_be_removed() {
        let joining = Member { is_joining: true, ..member(3, "http://c", false) };
        let (one, three) = (MemberId(1), MemberId(3));
        check(
            vec![
                (add(1, "http://a", false), Ok(())),
                (add(2, "http://b", true), Ok(())),
                (Change::add(joining), Ok(())),
                (Change::Remove(one), Err(ChangeError::LastVoter(one))),
                (Change::Promote(three), Ok(())),
                (Change::Remove(one), Ok(())),
                (Change::Remove(three), Err(ChangeError::LastVoter(three))),
                (Change::Remove(MemberId(2)), Ok(())),
            ],
            &[member(3, "http://c", false)],
        );
    }

    #[test]
    fn attributes_and_version_survive() {
        let backend = Backend::in_memory();
        let mut membership = Membership::open(&backend).expect("empty");
        assert_eq!(membership.version(), None);
        let mut batch = Batch::default();
        membership.change(add(1, "http://a", false), &mut batch).expect("new");
        membership
            .set_attributes(MemberId(1), "m1".into(), vec!["http://c".into()], &mut batch)
            .expect("a member");
        membership.set_version("3.7.0".into(), &mut batch);
        backend.commit(&batch).expect("memory");
        let reopened = Membership::open(&backend).expect("own rows");
        assert_eq!(reopened.version(), Some("3.7.0"));
        assert_eq!(reopened.member(MemberId(1)).map(|member| member.name.as_str()), Some("m1"));
    }

    #[test]
    fn a_downgrade_survives() {
        let backend = Backend::in_memory();
        let mut membership = Membership::open(&backend).expect("empty");
        assert_eq!(membership.downgrade_target(), None);
        for (target, json) in [
            (Some("3.6.0"), r#"{"target-version":"3.6.0","enabled":true}"#),
            (None, r#"{"target-version":"","enabled":false}"#),
        ] {
            let mut batch = Batch::default();
            membership.set_downgrade(target.map(str::to_owned), &mut batch);
            backend.commit(&batch).expect("memory");
            let row = backend.view().get(Bucket::Cluster, DOWNGRADE).expect("memory");
            assert_eq!(row.as_deref(), Some(json.as_bytes()));
            for store in [&membership, &Membership::open(&backend).expect("own rows")] {
                assert_eq!(store.downgrade_target(), target);
            }
        }
    }

    #[test]
    fn malformed_rows_are_named() {
        for (bucket, key) in [(Bucket::Members, "1f"), (Bucket::Cluster, "downgrade")] {
            let backend = Backend::in_memory();
            let mut batch = Batch::default();
            batch.put(bucket, key, "no json");
            backend.commit(&batch).expect("memory");
            let error = Membership::open(&backend).expect_err("corrupt").to_string();
            assert!(error.contains(bucket.name()) && error.contains(key), "{error}");
        }
    }
}
