//! Requests that go through the log, each with the type of its response.

use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, AuthDisableRequest, AuthDisableResponse, AuthEnableRequest,
    AuthEnableResponse, AuthRoleAddRequest, AuthRoleAddResponse, AuthRoleDeleteRequest,
    AuthRoleDeleteResponse, AuthRoleGetRequest, AuthRoleGetResponse, AuthRoleGrantPermissionRequest,
    AuthRoleGrantPermissionResponse, AuthRoleListRequest, AuthRoleListResponse,
    AuthRoleRevokePermissionRequest, AuthRoleRevokePermissionResponse, AuthStatusRequest, AuthStatusResponse,
    AuthUserAddRequest, AuthUserAddResponse, AuthUserChangePasswordRequest, AuthUserChangePasswordResponse,
    AuthUserDeleteRequest, AuthUserDeleteResponse, AuthUserGetRequest, AuthUserGetResponse,
    AuthUserGrantRoleRequest, AuthUserGrantRoleResponse, AuthUserListRequest, AuthUserListResponse,
    AuthUserRevokeRoleRequest, AuthUserRevokeRoleResponse, CompactionRequest, CompactionResponse,
    DeleteRangeRequest, DeleteRangeResponse, InternalAuthenticateRequest, LeaseCheckpointRequest,
    LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest, LeaseRevokeResponse, PutRequest, PutResponse,
    ResponseHeader, TxnRequest, TxnResponse,
};
use ferretcd_api_proto::membershippb::{
    ClusterMemberAttrSetRequest, ClusterVersionSetRequest, DowngradeInfoSetRequest,
};
use ferretcd_apply::{Alarm, AuthRequest, AuthResponse, Kind, PartialResponse, Request, Response};

use crate::auth::tokens::Login;

/// A request that the state machine executes.
pub(crate) trait ReplicatedRequest: Send {
    /// What it is.
    const KIND: Kind;
    /// What the proposer gets when it is executed.
    type Response;

    fn into_request(self) -> Request;

    /// The response of the state machine, with its header. `None` for a response to another kind of request.
    fn response(response: Response, header: ResponseHeader) -> Option<Self::Response>;
}

/// For each kind of request: its response, and how that is made of the state machine's response and the header.
macro_rules! replicated {
    ($($kind:ident($request:ty) => $response:ty: |$outcome:pat, $header:ident| $made:expr;)*) => {$(
        impl ReplicatedRequest for $request {
            const KIND: Kind = Kind::$kind;
            type Response = $response;

            fn into_request(self) -> Request {
                Request::$kind(self)
            }

            fn response(response: Response, $header: ResponseHeader) -> Option<Self::Response> {
                match response {
                    $outcome => Some($made),
                    _ => None,
                }
            }
        }
    )*};
}

replicated! {
    Put(PutRequest) => PutResponse:
        |Response::Put(put), header| PutResponse { header: Some(header), ..put };
    DeleteRange(DeleteRangeRequest) => PartialResponse<DeleteRangeResponse>:
        |Response::DeleteRange(delete), header| delete.map(|delete| DeleteRangeResponse { header: Some(header), ..delete });
    Txn(TxnRequest) => PartialResponse<TxnResponse>:
        |Response::Txn(txn), header| txn.map(|txn| TxnResponse { header: Some(header), ..txn });
    Compaction(CompactionRequest) => CompactionResponse:
        |Response::Compaction { .. }, header| CompactionResponse { header: Some(header) };
    LeaseGrant(LeaseGrantRequest) => LeaseGrantResponse:
        |Response::LeaseGrant { id, ttl }, header| LeaseGrantResponse {
            header: Some(header),
            id: id.0,
            ttl,
            ..LeaseGrantResponse::default()
        };
    LeaseRevoke(LeaseRevokeRequest) => LeaseRevokeResponse:
        |Response::LeaseRevoked(_), header| LeaseRevokeResponse { header: Some(header) };
    LeaseCheckpoint(LeaseCheckpointRequest) => ():
        |Response::LeasesCheckpointed(_), _header| ();
    Alarm(AlarmRequest) => AlarmResponse:
        |Response::Alarm(alarms), header| AlarmResponse {
            header: Some(header),
            alarms: alarms.into_iter().map(Alarm::to_message).collect(),
        };
    ClusterVersionSet(ClusterVersionSetRequest) => ():
        |Response::Done, _header| ();
    ClusterMemberAttrSet(ClusterMemberAttrSetRequest) => ():
        |Response::Done, _header| ();
    DowngradeInfoSet(DowngradeInfoSetRequest) => ():
        |Response::Done, _header| ();
}

/// The same for requests about users and roles.
macro_rules! auth_replicated {
    ($($variant:ident = $kind:ident($request:ty) => $response:ty: |$outcome:pat, $header:ident| $made:expr;)*) => {$(
        impl ReplicatedRequest for $request {
            const KIND: Kind = Kind::$kind;
            type Response = $response;

            fn into_request(self) -> Request {
                Request::Auth(AuthRequest::$variant(self))
            }

            fn response(response: Response, $header: ResponseHeader) -> Option<Self::Response> {
                match response {
                    Response::Auth($outcome) => Some($made),
                    _ => None,
                }
            }
        }
    )*};
}

auth_replicated! {
    Enable = AuthEnable(AuthEnableRequest) => AuthEnableResponse:
        |AuthResponse::Changed(_), header| AuthEnableResponse { header: Some(header) };
    Disable = AuthDisable(AuthDisableRequest) => AuthDisableResponse:
        |AuthResponse::Changed(_), header| AuthDisableResponse { header: Some(header) };
    Status = AuthStatus(AuthStatusRequest) => AuthStatusResponse:
        |AuthResponse::Status { is_enabled, revision }, header| AuthStatusResponse {
            header: Some(header),
            enabled: is_enabled,
            auth_revision: revision,
        };
    Authenticate = Authenticate(InternalAuthenticateRequest) => (ResponseHeader, Login):
        |AuthResponse::Authenticated { username, revision, token }, header| {
            (header, Login { username, revision, token })
        };
    UserAdd = AuthUserAdd(AuthUserAddRequest) => AuthUserAddResponse:
        |AuthResponse::Changed(_), header| AuthUserAddResponse { header: Some(header) };
    UserDelete = AuthUserDelete(AuthUserDeleteRequest) => AuthUserDeleteResponse:
        |AuthResponse::Changed(_), header| AuthUserDeleteResponse { header: Some(header) };
    UserGet = AuthUserGet(AuthUserGetRequest) => AuthUserGetResponse:
        |AuthResponse::Roles(roles), header| AuthUserGetResponse { header: Some(header), roles };
    UserChangePassword = AuthUserChangePassword(AuthUserChangePasswordRequest) => AuthUserChangePasswordResponse:
        |AuthResponse::Changed(_), header| AuthUserChangePasswordResponse { header: Some(header) };
    UserGrantRole = AuthUserGrantRole(AuthUserGrantRoleRequest) => AuthUserGrantRoleResponse:
        |AuthResponse::Changed(_), header| AuthUserGrantRoleResponse { header: Some(header) };
    UserRevokeRole = AuthUserRevokeRole(AuthUserRevokeRoleRequest) => AuthUserRevokeRoleResponse:
        |AuthResponse::Changed(_), header| AuthUserRevokeRoleResponse { header: Some(header) };
    UserList = AuthUserList(AuthUserListRequest) => AuthUserListResponse:
        |AuthResponse::Names(users), header| AuthUserListResponse { header: Some(header), users };
    RoleList = AuthRoleList(AuthRoleListRequest) => AuthRoleListResponse:
        |AuthResponse::Names(roles), header| AuthRoleListResponse { header: Some(header), roles };
    RoleAdd = AuthRoleAdd(AuthRoleAddRequest) => AuthRoleAddResponse:
        |AuthResponse::Changed(_), header| AuthRoleAddResponse { header: Some(header) };
    RoleDelete = AuthRoleDelete(AuthRoleDeleteRequest) => AuthRoleDeleteResponse:
        |AuthResponse::Changed(_), header| AuthRoleDeleteResponse { header: Some(header) };
    RoleGet = AuthRoleGet(AuthRoleGetRequest) => AuthRoleGetResponse:
        |AuthResponse::Permissions(perm), header| AuthRoleGetResponse { header: Some(header), perm };
    RoleGrantPermission = AuthRoleGrantPermission(AuthRoleGrantPermissionRequest) => AuthRoleGrantPermissionResponse:
        |AuthResponse::Changed(_), header| AuthRoleGrantPermissionResponse { header: Some(header) };
    RoleRevokePermission = AuthRoleRevokePermission(AuthRoleRevokePermissionRequest) => AuthRoleRevokePermissionResponse:
        |AuthResponse::Changed(_), header| AuthRoleRevokePermissionResponse { header: Some(header) };
}

#[cfg(test)]
mod tests {
    use ferretcd_base::LeaseId;

    use super::*;

    #[test]
    fn responses_get_their_header() {
        let header = ResponseHeader { revision: 7, ..ResponseHeader::default() };
        let put = PutRequest::response(Response::Put(PutResponse::default()), header);
        assert_eq!(put.and_then(|put| put.header), Some(header));
        let grant = Response::LeaseGrant { id: LeaseId(5), ttl: 60 };
        let grant = LeaseGrantRequest::response(grant, header).expect("a grant");
        assert_eq!((grant.header, grant.id, grant.ttl), (Some(header), 5, 60));
    }

    #[test]
    fn response_to_another_kind_of_request_is_none() {
        let other = Response::Put(PutResponse::default());
        assert!(DeleteRangeRequest::response(other.clone(), ResponseHeader::default()).is_none());
        assert_eq!(ClusterVersionSetRequest::response(other, ResponseHeader::default()), None);
    }
}
