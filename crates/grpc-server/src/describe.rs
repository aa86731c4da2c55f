//! Requests as the layers may log them: keys, names and ids, never values, passwords or tokens.

use ferretcd_api_proto::Loggable;
use ferretcd_api_proto::authpb::permission;
use ferretcd_api_proto::etcdserverpb::alarm_request::AlarmAction;
use ferretcd_api_proto::etcdserverpb::downgrade_request::DowngradeAction;
use ferretcd_api_proto::etcdserverpb::request_op::Request;
use ferretcd_api_proto::etcdserverpb::watch_request::RequestUnion;
use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, AlarmType, AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest,
    AuthRoleDeleteRequest, AuthRoleGetRequest, AuthRoleGrantPermissionRequest, AuthRoleListRequest,
    AuthRoleRevokePermissionRequest, AuthStatusRequest, AuthUserAddRequest, AuthUserChangePasswordRequest,
    AuthUserDeleteRequest, AuthUserGetRequest, AuthUserGrantRoleRequest, AuthUserListRequest,
    AuthUserRevokeRoleRequest, AuthenticateRequest, CompactionRequest, DefragmentRequest, DeleteRangeRequest,
    DowngradeRequest, HashKvRequest, HashRequest, LeaseGrantRequest, LeaseLeasesRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest, MoveLeaderRequest, PutRequest, RangeRequest, RequestOp, SnapshotRequest,
    StatusRequest, TxnRequest, WatchRequest,
};
use ferretcd_interceptors::{Content, Describe, Subject, Work};

use crate::work;

/// Messages as [`Describe`] has them, under a name of this crate because neither they nor it are.
pub(crate) trait About: Send + Sync + 'static {
    /// See [`Describe::content`].
    fn content(&self) -> Option<Content> {
        None
    }

    /// See [`Describe::subject`].
    fn subject(&self, subject: &mut Subject);

    /// See [`Describe::work`].
    fn work(&self) -> Option<Work> {
        None
    }
}

/// A message for the layers.
pub(crate) struct Described<T>(pub(crate) T);

impl<T: About> Describe for Described<T> {
    fn content(&self) -> Option<Content> {
        self.0.content()
    }

    fn subject(&self, subject: &mut Subject) {
        self.0.subject(subject);
    }

    fn work(&self) -> Option<Work> {
        self.0.work()
    }
}

impl About for RangeRequest {
    fn content(&self) -> Option<Content> {
        Some(Content { count: 0, text: self.loggable() })
    }

    fn subject(&self, subject: &mut Subject) {
        subject.range(&self.key, &self.range_end);
        if self.revision != 0 {
            subject.number("at_revision", self.revision);
        }
    }

    fn work(&self) -> Option<Work> {
        Some(work::range(self))
    }
}

impl About for PutRequest {
    fn content(&self) -> Option<Content> {
        Some(Content { count: 1, text: self.loggable() })
    }

    fn subject(&self, subject: &mut Subject) {
        subject.range(&self.key, &[]);
        if self.lease != 0 {
            subject.lease(self.lease);
        }
    }

    fn work(&self) -> Option<Work> {
        Some(work::put(self))
    }
}

impl About for DeleteRangeRequest {
    fn content(&self) -> Option<Content> {
        Some(Content { count: 0, text: self.loggable() })
    }

    fn subject(&self, subject: &mut Subject) {
        subject.range(&self.key, &self.range_end);
    }

    fn work(&self) -> Option<Work> {
        Some(work::delete_range(self))
    }
}

impl About for TxnRequest {
    fn content(&self) -> Option<Content> {
        Some(Content { count: -1, text: self.loggable() })
    }

    fn subject(&self, subject: &mut Subject) {
        subject.list("compare", &self.compare, |compare, subject| {
            subject.range(&compare.key, &compare.range_end);
        });
        subject.list("success", &self.success, operation);
        subject.list("failure", &self.failure, operation);
    }

    fn work(&self) -> Option<Work> {
        Some(work::txn(self))
    }
}

/// One operation of a transaction.
fn operation(op: &RequestOp, subject: &mut Subject) {
    let (name, request): (_, &dyn About) = match &op.request {
        Some(Request::RequestRange(range)) => ("range", range),
        Some(Request::RequestPut(put)) => ("put", put),
        Some(Request::RequestDeleteRange(delete)) => ("delete_range", delete),
        Some(Request::RequestTxn(txn)) => ("txn", txn),
        None => return,
    };
    subject.text("op", name);
    request.subject(subject);
}

impl About for WatchRequest {
    fn subject(&self, subject: &mut Subject) {
        match &self.request_union {
            Some(RequestUnion::CreateRequest(create)) => {
                subject.text("op", "create");
                subject.range(&create.key, &create.range_end);
                if create.start_revision != 0 {
                    subject.number("at_revision", create.start_revision);
                }
                if create.watch_id != 0 {
                    subject.number("watch_id", create.watch_id);
                }
            }
            Some(RequestUnion::CancelRequest(cancel)) => {
                subject.text("op", "cancel");
                subject.number("watch_id", cancel.watch_id);
            }
            Some(RequestUnion::ProgressRequest(_)) | None => {}
        }
    }
}

/// The subjects of messages, each by what it writes of the message; behind an arrow what their handler does.
macro_rules! subjects {
    ($($message:ty: |$it:pat_param, $subject:pat_param| $write:expr $(=> $work:path)?;)*) => {$(
        impl About for $message {
            fn subject(&self, subject: &mut Subject) {
                let ($it, $subject) = (self, subject);
                $write;
            }

            $(fn work(&self) -> Option<Work> {
                Some($work(self))
            })?
        }
    )*};
}

subjects! {
    CompactionRequest: |it, subject| {
        subject.number("at_revision", it.revision);
        subject.number("physical", it.physical);
    } => work::compact;
    LeaseGrantRequest: |it, subject| {
        subject.lease(it.id);
        subject.number("ttl", it.ttl);
    } => work::lease_grant;
    LeaseRevokeRequest: |it, subject| subject.lease(it.id) => work::lease_revoke;
    LeaseTimeToLiveRequest: |it, subject| subject.lease(it.id);
    LeaseLeasesRequest: |_, _| {};
    MemberAddRequest: |it, subject| {
        subject.text("peer_urls", &it.peer_urls.join(","));
        subject.number("learner", it.is_learner);
    };
    MemberRemoveRequest: |it, subject| member(it.id, subject);
    MemberUpdateRequest: |it, subject| {
        member(it.id, subject);
        subject.text("peer_urls", &it.peer_urls.join(","));
    };
    MemberListRequest: |_, _| {};
    MemberPromoteRequest: |it, subject| member(it.id, subject);
    MoveLeaderRequest: |it, subject| member(it.target_id, subject);
    AlarmRequest: |it, subject| {
        let action = AlarmAction::try_from(it.action).map_or("UNKNOWN", |action| action.as_str_name());
        subject.text("action", action);
        if it.member_id != 0 {
            member(it.member_id, subject);
        }
        if it.alarm != 0 {
            let alarm = AlarmType::try_from(it.alarm).map_or("UNKNOWN", |alarm| alarm.as_str_name());
            subject.text("alarm", alarm);
        }
    };
    DowngradeRequest: |it, subject| {
        let action = DowngradeAction::try_from(it.action).map_or("UNKNOWN", |action| action.as_str_name());
        subject.text("action", action);
        subject.text("version", &it.version);
    };
    StatusRequest: |_, _| {};
    HashRequest: |_, _| {};
    HashKvRequest: |it, subject| subject.number("at_revision", it.revision);
    DefragmentRequest: |_, _| {};
    SnapshotRequest: |_, _| {};
    AuthEnableRequest: |_, _| {};
    AuthDisableRequest: |_, _| {};
    AuthStatusRequest: |_, _| {};
    AuthenticateRequest: |it, subject| subject.text("name", &it.name);
    AuthUserAddRequest: |it, subject| subject.text("name", &it.name);
    AuthUserGetRequest: |it, subject| subject.text("name", &it.name);
    AuthUserListRequest: |_, _| {};
    AuthUserDeleteRequest: |it, subject| subject.text("name", &it.name);
    AuthUserChangePasswordRequest: |it, subject| subject.text("name", &it.name);
    AuthUserGrantRoleRequest: |it, subject| {
        subject.text("name", &it.user);
        subject.text("role", &it.role);
    };
    AuthUserRevokeRoleRequest: |it, subject| {
        subject.text("name", &it.name);
        subject.text("role", &it.role);
    };
    AuthRoleAddRequest: |it, subject| subject.text("role", &it.name);
    AuthRoleGetRequest: |it, subject| subject.text("role", &it.role);
    AuthRoleListRequest: |_, _| {};
    AuthRoleDeleteRequest: |it, subject| subject.text("role", &it.role);
    AuthRoleGrantPermissionRequest: |it, subject| {
        subject.text("role", &it.name);
        if let Some(granted) = &it.perm {
            let kind = permission::Type::try_from(granted.perm_type).map_or("UNKNOWN", |it| it.as_str_name());
            subject.text("permission", kind);
            subject.range(&granted.key, &granted.range_end);
        }
    };
    AuthRoleRevokePermissionRequest: |it, subject| {
        subject.text("role", &it.role);
        subject.range(&it.key, &it.range_end);
    };
}

fn member(id: u64, subject: &mut Subject) {
    subject.text("member", &format!("{id:x}"));
}
