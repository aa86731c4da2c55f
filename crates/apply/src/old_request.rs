//! Requests about members as etcd 3.5 writes them to the log, in the form of the store of version 2.

use bytes::Bytes;
use ferretcd_api_proto::membershippb::{Attributes, ClusterMemberAttrSetRequest, ClusterVersionSetRequest};
use prost::Message;
use serde_json::Value;

use crate::{Command, Request};

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

/// Reads an entry in which a member of etcd 3.5 publishes its name and client URLs, or a leader sets the cluster version.
/// These are all that such a member writes; `None` for everything else.
pub(crate) fn decode(bytes: Bytes) -> Option<Command> {
    let OldRequest { id, method, path, value } = OldRequest::decode(bytes).ok()?;
    if method != "PUT" {
        return None;
    }
    let request = match path.strip_prefix("/0/")? {
        "version" => Request::ClusterVersionSet(ClusterVersionSetRequest { ver: value }),
        path => {
            let member = path.strip_prefix("members/")?.strip_suffix("/attributes")?;
            let member_id = u64::from_str_radix(member, 16).ok()?;
            let member_attributes = Some(attributes(&serde_json::from_str(&value).ok()?));
            Request::ClusterMemberAttrSet(ClusterMemberAttrSetRequest { member_id, member_attributes })
        }
    };
    Some(Command { id, username: String::new(), auth_revision: 0, request })
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

    fn request(entry: Bytes) -> Option<Request> {
        Command::decode(entry).ok().map(|command| command.request)
    }

    #[test]
    fn a_member_publishes_itself() {
        let value = r#"{"name":"m1","clientURLs":["http://h:1","http://h:2"]}"#;
        let published = request(entry("PUT", "/0/members/8e9e05c52164694d/attributes", value));
        let attributes = Attributes {
            name: "m1".to_owned(),
            client_urls: ["http://h:1", "http://h:2"].map(str::to_owned).to_vec(),
        };
        let expected = ClusterMemberAttrSetRequest {
            member_id: 0x8e9e_05c5_2164_694d,
            member_attributes: Some(attributes),
        };
        assert_eq!(published, Some(Request::ClusterMemberAttrSet(expected)));
        let silent = request(entry("PUT", "/0/members/1/attributes", r#"{"name":"m1"}"#));
        assert!(matches!(silent, Some(Request::ClusterMemberAttrSet(_))), "{silent:?}");
    }

    #[test]
    fn the_leader_sets_the_version() {
        let set = request(entry("PUT", "/0/version", "3.5.0"));
        assert_eq!(
            set,
            Some(Request::ClusterVersionSet(ClusterVersionSetRequest { ver: "3.5.0".to_owned() }))
        );
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
            assert_eq!(request(entry(method, path, value)), None, "{method} {path}");
        }
    }
}
