//! The JSON of questions and answers between members.

use ferretcd_engine::{PeerHash, PeerVersions};
use ferretcd_membership::Member;
use serde::{Deserialize, Serialize};

/// A list of members.
pub(crate) fn members(json: &[u8]) -> Result<Vec<Member>, serde_json::Error> {
    serde_json::from_slice(json)
}

/// [`members`], the other way round: what the members' own form leaves out stays out.
pub(crate) fn from_members(members: &[Member]) -> String {
    let members: Vec<String> = members.iter().map(Member::to_json).collect();
    format!("[{}]\n", members.join(","))
}

/// Asks for a hash.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HashQuestion {
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) revision: i64,
}

/// A hash. Zeros are left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HashAnswer {
    header: HashHeader,
    #[serde(skip_serializing_if = "is_zero")]
    hash: u32,
    #[serde(skip_serializing_if = "is_zero")]
    compact_revision: i64,
    #[serde(skip_serializing_if = "is_zero")]
    hash_revision: i64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct HashHeader {
    #[serde(skip_serializing_if = "is_zero")]
    revision: i64,
}

impl HashAnswer {
    pub(crate) fn hash(self) -> PeerHash {
        let Self { hash, compact_revision, hash_revision: revision, .. } = self;
        PeerHash { hash, revision, compact_revision }
    }
}

impl From<PeerHash> for HashAnswer {
    fn from(hash: PeerHash) -> Self {
        Self {
            header: HashHeader { revision: hash.revision },
            hash: hash.hash,
            compact_revision: hash.compact_revision,
            hash_revision: hash.revision,
        }
    }
}

/// The versions of a member.
#[derive(Debug, Deserialize)]
pub(crate) struct VersionAnswer {
    etcdserver: String,
    #[serde(default)]
    etcdcluster: String,
}

impl VersionAnswer {
    pub(crate) fn versions(self, is_ferretcd: bool) -> PeerVersions {
        let cluster = if self.etcdcluster == NOT_DECIDED { String::new() } else { self.etcdcluster };
        PeerVersions { server: self.etcdserver, cluster, is_ferretcd }
    }
}

/// What stands for the version of a cluster that has none yet.
const NOT_DECIDED: &str = "not_decided";

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use ferretcd_base::MemberId;

    use super::*;

    #[test]
    fn forms_are_those_of_etcd() {
        let check = |hash: PeerHash, json: &str| {
            assert_eq!(serde_json::to_string(&HashAnswer::from(hash)).expect("plain"), json);
            let answer: HashAnswer = serde_json::from_str(json).expect("own text");
            assert_eq!(answer.hash(), hash);
        };
        check(
            PeerHash { hash: 7, revision: 5, compact_revision: 3 },
            r#"{"header":{"revision":5},"hash":7,"compact_revision":3,"hash_revision":5}"#,
        );
        check(PeerHash { hash: 0, revision: 0, compact_revision: 0 }, r#"{"header":{}}"#);

        let versions = |json| serde_json::from_str::<VersionAnswer>(json).expect("valid").versions(false);
        let told = versions(r#"{"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"}"#);
        assert_eq!((told.server.as_str(), told.cluster.as_str()), ("3.7.1", "3.7.0"));
        assert_eq!(versions(r#"{"etcdserver":"3.7.1","etcdcluster":"not_decided"}"#).cluster, "");

        let list = [1, 2].map(|id| Member { id: MemberId(id), ..Member::default() });
        let json = from_members(&list);
        assert_eq!(json, "[{\"id\":1,\"peerURLs\":null},{\"id\":2,\"peerURLs\":null}]\n");
        assert_eq!(members(json.as_bytes()).expect("own text"), list);
    }
}
