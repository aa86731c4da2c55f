//! Entries of the log as text.

use std::fmt::Write as _;

use super::Loggable;
use super::text::{Quoting, Text};
use crate::authpb::{Permission, permission};
use crate::etcdserverpb::alarm_request::AlarmAction;
use crate::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, InternalRaftRequest, LeaseCheckpointRequest, RequestHeader,
};
use crate::membershippb::{ClusterMemberAttrSetRequest, ClusterVersionSetRequest, DowngradeInfoSetRequest};

impl Loggable for InternalRaftRequest {
    /// Without passwords and tokens: etcd shows the token of a login.
    fn write(&self, text: &mut String) {
        let header = self.header.as_ref().map(header).unwrap_or_default();
        if let Some(request) = redacted(self) {
            let _ = write!(text, "header:<{header}> {request}");
            return;
        }
        let mut text = Text::new(text, Quoting::Hex);
        if self.header.is_some() {
            text.message("header", &header);
        }
        if let Some((name, request)) = whole(self).or_else(|| about_rights(self)) {
            text.message(name, &request);
        }
    }
}

/// Requests of which etcd does not show all.
fn redacted(request: &InternalRaftRequest) -> Option<String> {
    if let Some(put) = &request.put {
        return Some(format!("put:<{}>", put.loggable()));
    }
    if let Some(txn) = &request.txn {
        return Some(format!("txn:<{}>", txn.loggable()));
    }
    if let Some(grant) = &request.lease_grant {
        return Some(format!("lease_grant:<ttl:{}-second id:{}>", grant.ttl, lease(grant.id)));
    }
    if let Some(revoke) = &request.lease_revoke {
        return Some(format!("lease_revoke:<id:{}>", lease(revoke.id)));
    }
    if let Some(login) = &request.authenticate {
        return Some(format!("authenticate:<name:{} simple_token:>", login.name));
    }
    if let Some(add) = &request.auth_user_add {
        return Some(format!("auth_user_add:<name:{}>", add.name));
    }
    let change = request.auth_user_change_password.as_ref()?;
    Some(format!("auth_user_change_password:<name:{}>", change.name))
}

/// The id of a lease, with a sign as Go writes it.
fn lease(id: i64) -> String {
    let sign = if id < 0 { "-" } else { "" };
    format!("{sign}{:0width$x}", id.unsigned_abs(), width = 16 - sign.len())
}

/// Requests that are shown whole.
fn whole(request: &InternalRaftRequest) -> Option<(&'static str, String)> {
    if let Some(delete) = &request.delete_range {
        return Some(("delete_range", delete.loggable()));
    }
    if let Some(compaction) = &request.compaction {
        return Some(("compaction", compaction_text(compaction)));
    }
    if let Some(alarm) = &request.alarm {
        return Some(("alarm", alarm_text(alarm)));
    }
    if let Some(checkpoint) = &request.lease_checkpoint {
        return Some(("lease_checkpoint", checkpoints(checkpoint)));
    }
    if let Some(version) = &request.cluster_version_set {
        return Some(("cluster_version_set", version_text(version)));
    }
    if let Some(downgrade) = &request.downgrade_info_set {
        return Some(("downgrade_info_set", downgrade_text(downgrade)));
    }
    request.cluster_member_attr_set.as_ref().map(|set| ("cluster_member_attr_set", attributes(set)))
}

fn about_rights(request: &InternalRaftRequest) -> Option<(&'static str, String)> {
    let name = |name: &'static str, of: &str| Some((name, texts(&[("name", of)])));
    if request.auth_enable.is_some() {
        return Some(("auth_enable", String::new()));
    }
    if request.auth_disable.is_some() {
        return Some(("auth_disable", String::new()));
    }
    if request.auth_status.is_some() {
        return Some(("auth_status", String::new()));
    }
    if request.auth_user_list.is_some() {
        return Some(("auth_user_list", String::new()));
    }
    if request.auth_role_list.is_some() {
        return Some(("auth_role_list", String::new()));
    }
    if let Some(delete) = &request.auth_user_delete {
        return name("auth_user_delete", &delete.name);
    }
    if let Some(get) = &request.auth_user_get {
        return name("auth_user_get", &get.name);
    }
    if let Some(grant) = &request.auth_user_grant_role {
        return Some(("auth_user_grant_role", texts(&[("user", &grant.user), ("role", &grant.role)])));
    }
    if let Some(revoke) = &request.auth_user_revoke_role {
        return Some(("auth_user_revoke_role", texts(&[("name", &revoke.name), ("role", &revoke.role)])));
    }
    if let Some(add) = &request.auth_role_add {
        return name("auth_role_add", &add.name);
    }
    if let Some(delete) = &request.auth_role_delete {
        return Some(("auth_role_delete", texts(&[("role", &delete.role)])));
    }
    if let Some(get) = &request.auth_role_get {
        return Some(("auth_role_get", texts(&[("role", &get.role)])));
    }
    if let Some(grant) = &request.auth_role_grant_permission {
        let mut fields = String::new();
        let mut text = Text::new(&mut fields, Quoting::Hex);
        text.bytes("name", grant.name.as_bytes());
        if let Some(granted) = &grant.perm {
            text.message("perm", &permission_text(granted));
        }
        return Some(("auth_role_grant_permission", fields));
    }
    let revoke = request.auth_role_revoke_permission.as_ref()?;
    let mut fields = String::new();
    let mut text = Text::new(&mut fields, Quoting::Hex);
    text.bytes("role", revoke.role.as_bytes());
    text.bytes("key", &revoke.key);
    text.bytes("range_end", &revoke.range_end);
    Some(("auth_role_revoke_permission", fields))
}

fn texts(of: &[(&str, &str)]) -> String {
    let mut fields = String::new();
    let mut text = Text::new(&mut fields, Quoting::Hex);
    for (name, value) in of {
        text.bytes(name, value.as_bytes());
    }
    fields
}

fn header(header: &RequestHeader) -> String {
    let mut fields = String::new();
    let mut text = Text::new(&mut fields, Quoting::Hex);
    text.number("ID", header.id);
    text.bytes("username", header.username.as_bytes());
    text.number("auth_revision", header.auth_revision);
    fields
}

fn permission_text(granted: &Permission) -> String {
    let mut fields = String::new();
    let mut text = Text::new(&mut fields, Quoting::Hex);
    let kind = permission::Type::try_from(granted.perm_type).map(|it| it.as_str_name());
    text.choice("permType", granted.perm_type, kind);
    text.bytes("key", &granted.key);
    text.bytes("range_end", &granted.range_end);
    fields
}

fn compaction_text(compaction: &CompactionRequest) -> String {
    let mut fields = String::new();
    let mut text = Text::new(&mut fields, Quoting::Hex);
    text.number("revision", compaction.revision);
    text.flag("physical", compaction.physical);
    fields
}

fn alarm_text(alarm: &AlarmRequest) -> String {
    let mut fields = String::new();
    let mut text = Text::new(&mut fields, Quoting::Hex);
    text.choice("action", alarm.action, AlarmAction::try_from(alarm.action).map(|it| it.as_str_name()));
    text.number("memberID", alarm.member_id);
    text.choice("alarm", alarm.alarm, AlarmType::try_from(alarm.alarm).map(|it| it.as_str_name()));
    fields
}

fn checkpoints(request: &LeaseCheckpointRequest) -> String {
    let mut fields = String::new();
    let mut text = Text::new(&mut fields, Quoting::Hex);
    for checkpoint in &request.checkpoints {
        let mut inner = String::new();
        let mut one = Text::new(&mut inner, Quoting::Hex);
        one.number("ID", checkpoint.id);
        one.number("remaining_TTL", checkpoint.remaining_ttl);
        text.message("checkpoints", &inner);
    }
    fields
}

fn version_text(set: &ClusterVersionSetRequest) -> String {
    texts(&[("ver", &set.ver)])
}

fn downgrade_text(set: &DowngradeInfoSetRequest) -> String {
    let mut fields = String::new();
    let mut text = Text::new(&mut fields, Quoting::Hex);
    text.flag("enabled", set.enabled);
    text.bytes("ver", set.ver.as_bytes());
    fields
}

fn attributes(set: &ClusterMemberAttrSetRequest) -> String {
    let mut fields = String::new();
    let mut text = Text::new(&mut fields, Quoting::Hex);
    text.number("member_ID", set.member_id);
    if let Some(attributes) = &set.member_attributes {
        let mut inner = String::new();
        let mut one = Text::new(&mut inner, Quoting::Hex);
        one.bytes("name", attributes.name.as_bytes());
        for url in &attributes.client_urls {
            one.bytes("client_urls", url.as_bytes());
        }
        text.message("member_attributes", &inner);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcdserverpb::{
        AuthRoleGrantPermissionRequest, AuthUserAddRequest, DeleteRangeRequest, InternalAuthenticateRequest,
        LeaseGrantRequest, PutRequest,
    };
    use crate::membershippb::Attributes;

    fn check(request: InternalRaftRequest, expected: &str) {
        let header = Some(RequestHeader { id: 7, ..RequestHeader::default() });
        assert_eq!(InternalRaftRequest { header, ..request }.loggable(), expected);
    }

    fn none() -> InternalRaftRequest {
        InternalRaftRequest::default()
    }

    /// The texts are lines of a running etcd 3.7.1.
    #[test]
    fn entries_are_shown_as_by_etcd() {
        let put = PutRequest { key: "foo".into(), value: "bar".into(), ..PutRequest::default() };
        check(
            InternalRaftRequest { put: Some(put), ..none() },
            r#"header:<ID:7> put:<key:"foo" value_size:3 >"#,
        );
        let delete = DeleteRangeRequest { key: "foo".into(), prev_kv: true, ..DeleteRangeRequest::default() };
        check(
            InternalRaftRequest { delete_range: Some(delete), ..none() },
            r#"header:{ID:7} delete_range:{key:"foo" prev_kv:true}"#,
        );
        let grant = LeaseGrantRequest { ttl: 100, id: 0x3cee_a22d_30bc_4909 };
        check(
            InternalRaftRequest { lease_grant: Some(grant), ..none() },
            "header:<ID:7> lease_grant:<ttl:100-second id:3ceea22d30bc4909>",
        );
        let grant = LeaseGrantRequest { ttl: 1, id: -1 };
        check(
            InternalRaftRequest { lease_grant: Some(grant), ..none() },
            "header:<ID:7> lease_grant:<ttl:1-second id:-000000000000001>",
        );
        check(
            InternalRaftRequest { alarm: Some(AlarmRequest::default()), ..none() },
            "header:{ID:7} alarm:{}",
        );
        let member_attributes =
            Some(Attributes { name: "default".into(), client_urls: vec!["http://127.0.0.1:32379".into()] });
        let set = ClusterMemberAttrSetRequest { member_id: 443_629, member_attributes };
        check(
            InternalRaftRequest { cluster_member_attr_set: Some(set), ..none() },
            concat!(
                r#"header:{ID:7} cluster_member_attr_set:{member_ID:443629 "#,
                r#"member_attributes:{name:"default" client_urls:"http://127.0.0.1:32379"}}"#
            ),
        );
        let downgrade = DowngradeInfoSetRequest { enabled: true, ver: "3.6.0".into() };
        check(
            InternalRaftRequest { downgrade_info_set: Some(downgrade), ..none() },
            r#"header:{ID:7} downgrade_info_set:{enabled:true ver:"3.6.0"}"#,
        );
        let perm = Some(Permission { perm_type: 2, key: "foo".into(), ..Permission::default() });
        let grant = AuthRoleGrantPermissionRequest { name: "r".into(), perm };
        check(
            InternalRaftRequest { auth_role_grant_permission: Some(grant), ..none() },
            r#"header:{ID:7} auth_role_grant_permission:{name:"r" perm:{permType:READWRITE key:"foo"}}"#,
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let add = AuthUserAddRequest {
            name: "u".into(),
            password: "pass".into(),
            hashed_password: "hash".into(),
            options: None,
        };
        check(
            InternalRaftRequest { auth_user_add: Some(add), ..none() },
            "header:<ID:7> auth_user_add:<name:u>",
        );
        let login = InternalAuthenticateRequest {
            name: "u".into(),
            password: "pass".into(),
            simple_token: "token".into(),
        };
        check(
            InternalRaftRequest { authenticate: Some(login), ..none() },
            "header:<ID:7> authenticate:<name:u simple_token:>",
        );
    }
}
