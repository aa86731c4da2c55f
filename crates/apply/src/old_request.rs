//! Requests about members as etcd 3.5 writes them to the log, in the form of the store of version 2.

use bytes::Bytes;
use ferretcd_api_proto::membershippb::{Attributes, ClusterMemberAttrSetRequest, ClusterVersionSetRequest};
use prost::Message;
use serde_json::Value;

/// `etcdserverpb.Request`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct OldRequest {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    method: String,
    #[prost(string, tag = "3")]
    path: String,
    #[prost(string, tag = "4")]
    value: String,
}

/// One of the two requests that a member of etcd 3.5 writes in this form.
#[derive(Debug, PartialEq)]
pub(crate) enum Old {
    /// A member publishes its name and client URLs.
    Attributes(ClusterMemberAttrSetRequest),
    /// The leader sets the cluster version.
    Version(ClusterVersionSetRequest),
}

/// Reads such an entry: its id, and the request as later releases write it. `None` for all others.
pub(crate) fn decode(bytes: Bytes) -> Option<(u64, Old)> {
    let OldRequest { id, method, path, value } = OldRequest::decode(bytes).ok()?;
    if method != "PUT" {
        return None;
    }
    let request = match path.strip_prefix("/0/")? {
        "version" => Old::Version(ClusterVersionSetRequest { ver: value }),
        path => {
            let member = path.strip_prefix("members/")?.strip_suffix("/attributes")?;
            let member_id = u64::from_str_radix(member, 16).ok()?;
            let member_attributes = Some(attributes(&serde_json::from_str(&value).ok()?));
            Old::Attributes(ClusterMemberAttrSetRequest { member_id, member_attributes })
        }
    };
    Some((id, request))
}

fn attributes(json: &Value) -> Attributes {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let urls = json["clientURLs"].as_array();
    let client_urls = urls.map(|urls| urls.iter().map(text).collect()).unwrap_or_default();
    Attributes { name: text(&json["name"]), client_urls }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(method: &str, path: &str, value: &str) -> Bytes {
        let [method, path, value] = [method, path, value].map(str::to_owned);
        OldRequest { id: 7, method, path, value }.encode_to_vec().into()
    }

    #[test]
    fn a_member_publishes_itself() {
        let value = r#"{"name":"m1","clientURLs":["http://h:1","http://h:2"]}"#;
        let published = decode(entry("PUT", "/0/members/8e9e05c52164694d/attributes", value));
        let attributes = Attributes {
            name: "m1".to_owned(),
            client_urls: ["http://h:1", "http://h:2"].map(str::to_owned).to_vec(),
        };
        let expected = ClusterMemberAttrSetRequest {
            member_id: 0x8e9e_05c5_2164_694d,
            member_attributes: Some(attributes),
        };
        assert_eq!(published, Some((7, Old::Attributes(expected))));
        let silent = decode(entry("PUT", "/0/members/1/attributes", r#"{"name":"m1"}"#));
        assert!(matches!(silent, Some((7, Old::Attributes(_)))), "{silent:?}");
    }

    #[test]
    fn the_leader_sets_the_version() {
        let set = decode(entry("PUT", "/0/version", "3.5.0"));
        assert_eq!(set, Some((7, Old::Version(ClusterVersionSetRequest { ver: "3.5.0".to_owned() }))));
    }

    #[test]
    fn no_other_request_is_one() {
        for (method, path, value) in [
            ("DELETE", "/0/version", "3.5.0"),
            ("PUT", "/1/key", "value"),
            ("PUT", "/0/members/x/attributes", "{}"),
            ("PUT", "/0/members/1/attributes", "no json"),
            ("PUT", "/0/members/1/raftAttributes", "{}"),
        ] {
            assert_eq!(decode(entry(method, path, value)), None, "{method} {path}");
        }
    }
}
