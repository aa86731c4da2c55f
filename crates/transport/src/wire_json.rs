//! The JSON of requests and responses between members.

use ferretcd_engine::{PeerHash, PeerVersions};
use ferretcd_membership::Member;
use serde::{Deserialize, Serialize};

/// A list of members.
pub(crate) fn members(json: &[u8]) -> Result<Vec<Member>, serde_json::Error> {
    serde_json::from_slice(json)
}

/// The JSON that [`members`] reads. Empty fields are omitted as in the members' bucket.
pub(crate) fn from_members(members: &[Member]) -> String {
    let members: Vec<String> = members.iter().map(Member::to_json).collect();
    format!("[{}]\n", members.join(","))
}

/// A request for a hash.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HashKvRequest {
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) revision: i64,
}

/// A hash. Zeros are omitted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HashKvResponse {
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

impl HashKvResponse {
    pub(crate) fn hash(self) -> PeerHash {
        let Self { hash, compact_revision, hash_revision: revision, .. } = self;
        PeerHash { hash, revision, compact_revision }
    }
}

impl From<PeerHash> for HashKvResponse {
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
pub(crate) struct VersionsResponse {
    etcdserver: String,
    #[serde(default)]
    etcdcluster: String,
}

impl VersionsResponse {
    pub(crate) fn versions(self) -> PeerVersions {
        let cluster = if self.etcdcluster == NOT_DECIDED { String::new() } else { self.etcdcluster };
        PeerVersions { server: self.etcdserver, cluster }
    }
}

/// The version of a cluster that has none yet.
const NOT_DECIDED: &str = "not_decided";

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use ferretcd_base::MemberId;

    use super::*;

    #[test]
    fn json_is_the_same_as_etcds() {
        let check = |hash: PeerHash, json: &str| {
            assert_eq!(serde_json::to_string(&HashKvResponse::from(hash)).expect("plain"), json);
            let response: HashKvResponse = serde_json::from_str(json).expect("own text");
            assert_eq!(response.hash(), hash);
        };
        check(
            PeerHash { hash: 7, revision: 5, compact_revision: 3 },
            r#"{"header":{"revision":5},"hash":7,"compact_revision":3,"hash_revision":5}"#,
        );
        check(PeerHash { hash: 0, revision: 0, compact_revision: 0 }, r#"{"header":{}}"#);

        let versions = |json| serde_json::from_str::<VersionsResponse>(json).expect("valid").versions();
        let decided = versions(r#"{"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"}"#);
        assert_eq!((decided.server.as_str(), decided.cluster.as_str()), ("3.7.1", "3.7.0"));
        assert_eq!(versions(r#"{"etcdserver":"3.7.1","etcdcluster":"not_decided"}"#).cluster, "");

        let list = [1, 2].map(|id| Member { id: MemberId(id), ..Member::default() });
        let json = from_members(&list);
        assert_eq!(json, "[{\"id\":1,\"peerURLs\":null},{\"id\":2,\"peerURLs\":null}]\n");
        assert_eq!(members(json.as_bytes()).expect("own text"), list);
    }
}
