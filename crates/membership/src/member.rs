//! One member, and its JSON form on disk and in configuration changes.

use ferretcd_base::MemberId;
use serde::{Deserialize, Serialize};

/// A member as every other one sees it.
///
/// In its JSON one that is joining is a learner, with a field of our own beside that. Members of etcd skip the field:
/// for them it is a learner that is promoted at some time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct Member {
    /// Never reused in a cluster.
    pub id: MemberId,
    /// Where the other members reach it.
    pub peer_urls: Vec<String>,
    /// Whether it replicates without a vote until it is promoted.
    pub is_learner: bool,
    /// Whether it is to vote and does not yet: it is getting the log first. Never together with `is_learner`.
    pub is_joining: bool,
    /// Empty until the member has started once.
    pub name: String,
    /// Where clients reach it; empty until the member has started once.
    pub client_urls: Vec<String>,
}

/// The JSON form, fields in etcd's order.
#[derive(Serialize, Deserialize)]
struct Form {
    #[serde(with = "number")]
    id: MemberId,
    #[serde(rename = "peerURLs", deserialize_with = "null_is_empty", serialize_with = "empty_is_null")]
    peer_urls: Vec<String>,
    /// Of all members without a vote.
    #[serde(rename = "isLearner", default, skip_serializing_if = "is_false")]
    is_learner: bool,
    #[serde(rename = "isJoining", default, skip_serializing_if = "is_false")]
    is_joining: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(rename = "clientURLs", default, skip_serializing_if = "Vec::is_empty")]
    client_urls: Vec<String>,
}

impl From<Member> for Form {
    fn from(member: Member) -> Self {
        let is_learner = !member.is_voter();
        let Member { id, peer_urls, is_joining, name, client_urls, .. } = member;
        Self { id, peer_urls, is_learner, is_joining, name, client_urls }
    }
}

impl From<Form> for Member {
    fn from(form: Form) -> Self {
        let Form { id, peer_urls, is_learner, is_joining, name, client_urls } = form;
        Self { id, peer_urls, is_learner: is_learner && !is_joining, is_joining, name, client_urls }
    }
}

impl Member {
    /// Whether it counts in quorums.
    pub fn is_voter(&self) -> bool {
        !self.is_learner && !self.is_joining
    }

    /// Whether it has published its name and client URLs, which it does when it has started.
    pub fn is_started(&self) -> bool {
        !self.name.is_empty()
    }

    /// The JSON text that etcd stores: fields in its order, empty ones left out, and `<`, `>`, `&` escaped
    /// as Go's encoder escapes them.
    pub fn to_json(&self) -> String {
        let plain =
            serde_json::to_string(self).expect("a member has only strings, numbers and lists of them");
        escape_like_go(&plain)
    }

    /// Reads [`Self::to_json`]; unknown fields are ignored.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }
}

/// Go's encoder escapes these even in plain JSON. They occur only inside strings, so replacing them in the
/// finished text is safe.
pub(crate) fn escape_like_go(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default())
}

fn empty_is_null<S: serde::Serializer>(urls: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    if urls.is_empty() { serializer.serialize_none() } else { urls.serialize(serializer) }
}

mod number {
    use ferretcd_base::MemberId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &MemberId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(id.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MemberId, D::Error> {
        u64::deserialize(deserializer).map(MemberId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(member: &Member, json: &str) {
        assert_eq!(member.to_json(), json);
        assert_eq!(&Member::from_json(json.as_bytes()).expect("own text"), member);
    }

    #[test]
    fn json_is_etcds() {
        let id = MemberId(6_898_171_603_489_705_232);
        let peer_urls = vec!["http://127.0.0.1:34380".to_owned()];
        let client_urls = vec!["http://127.0.0.1:34379".to_owned()];
        check(
            &Member {
                id,
                peer_urls: peer_urls.clone(),
                name: "m1".to_owned(),
                client_urls,
                ..Member::default()
            },
            r#"{"id":6898171603489705232,"peerURLs":["http://127.0.0.1:34380"],"name":"m1","clientURLs":["http://127.0.0.1:34379"]}"#,
        );
        check(
            &Member { id: MemberId(7), peer_urls: vec![], is_learner: true, ..Member::default() },
            r#"{"id":7,"peerURLs":null,"isLearner":true}"#,
        );
        check(
            &Member { id: MemberId(7), peer_urls: vec![], is_joining: true, ..Member::default() },
            r#"{"id":7,"peerURLs":null,"isLearner":true,"isJoining":true}"#,
        );
        check(
            &Member { id: MemberId(7), peer_urls, name: "<a&b>".to_owned(), ..Member::default() },
            r#"{"id":7,"peerURLs":["http://127.0.0.1:34380"],"name":"\u003ca\u0026b\u003e"}"#,
        );
    }

    #[test]
    fn a_joining_member_is_no_learner() {
        for json in [
            r#"{"id":7,"peerURLs":null,"isLearner":true,"isJoining":true}"#,
            r#"{"id":7,"peerURLs":null,"isJoining":true}"#,
        ] {
            let read = Member::from_json(json.as_bytes()).expect("valid");
            assert_eq!(read, Member { id: MemberId(7), is_joining: true, ..Member::default() }, "{json}");
            assert!(!read.is_voter());
        }
    }

    #[test]
    fn text_that_is_no_member_is_an_error() {
        for text in ["", "[]", r#"{"id":"x"}"#, r#"{"id":1,"peerURLs":7}"#] {
            assert!(Member::from_json(text.as_bytes()).is_err(), "{text}");
        }
    }
}
