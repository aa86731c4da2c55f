//! Which request belongs to which method.

use ferretcd_api_proto::etcdserverpb as pb;
use prost::Message;

/// A request of etcd's API. Its type decides the method.
pub trait Rpc: Message + Clone + 'static {
    /// What the method responds with.
    type Response: Message + Default + 'static;
    /// The method, as `/package.Service/Method`.
    const PATH: &'static str;
    /// The request changes nothing, and any member can serve it: sent twice it does no harm.
    const IS_READ: bool;
}

macro_rules! rpcs {
    ($($service:literal { $($method:literal $kind:ident $request:ident -> $response:ident,)* })*) => {
        $($(impl Rpc for pb::$request {
            type Response = pb::$response;
            const PATH: &'static str = concat!("/etcdserverpb.", $service, "/", $method);
            const IS_READ: bool = is_read!($kind);
        })*)*
    };
}

macro_rules! is_read {
    (read) => {
        true
    };
    (write) => {
        false
    };
    // About the member that serves it: another member's response would be a different one.
    (local) => {
        false
    };
}

rpcs! {
    "KV" {
        "Range" read RangeRequest -> RangeResponse,
        "Put" write PutRequest -> PutResponse,
        "DeleteRange" write DeleteRangeRequest -> DeleteRangeResponse,
        "Txn" write TxnRequest -> TxnResponse,
        "Compact" write CompactionRequest -> CompactionResponse,
    }
    "Lease" {
        "LeaseGrant" write LeaseGrantRequest -> LeaseGrantResponse,
        "LeaseRevoke" write LeaseRevokeRequest -> LeaseRevokeResponse,
        "LeaseTimeToLive" read LeaseTimeToLiveRequest -> LeaseTimeToLiveResponse,
        "LeaseLeases" read LeaseLeasesRequest -> LeaseLeasesResponse,
    }
    "Cluster" {
        "MemberAdd" write MemberAddRequest -> MemberAddResponse,
        "MemberRemove" write MemberRemoveRequest -> MemberRemoveResponse,
        "MemberUpdate" write MemberUpdateRequest -> MemberUpdateResponse,
        "MemberList" read MemberListRequest -> MemberListResponse,
        "MemberPromote" write MemberPromoteRequest -> MemberPromoteResponse,
    }
    "Maintenance" {
        "Alarm" write AlarmRequest -> AlarmResponse,
        "Status" local StatusRequest -> StatusResponse,
        "Defragment" local DefragmentRequest -> DefragmentResponse,
        "Hash" local HashRequest -> HashResponse,
        "HashKV" local HashKvRequest -> HashKvResponse,
        "MoveLeader" local MoveLeaderRequest -> MoveLeaderResponse,
        "Downgrade" write DowngradeRequest -> DowngradeResponse,
    }
    "Auth" {
        "AuthEnable" write AuthEnableRequest -> AuthEnableResponse,
        "AuthDisable" write AuthDisableRequest -> AuthDisableResponse,
        "AuthStatus" read AuthStatusRequest -> AuthStatusResponse,
        "Authenticate" write AuthenticateRequest -> AuthenticateResponse,
        "UserAdd" write AuthUserAddRequest -> AuthUserAddResponse,
        "UserGet" read AuthUserGetRequest -> AuthUserGetResponse,
        "UserList" read AuthUserListRequest -> AuthUserListResponse,
        "UserDelete" write AuthUserDeleteRequest -> AuthUserDeleteResponse,
        "UserChangePassword" write AuthUserChangePasswordRequest -> AuthUserChangePasswordResponse,
        "UserGrantRole" write AuthUserGrantRoleRequest -> AuthUserGrantRoleResponse,
        "UserRevokeRole" write AuthUserRevokeRoleRequest -> AuthUserRevokeRoleResponse,
        "RoleAdd" write AuthRoleAddRequest -> AuthRoleAddResponse,
        "RoleGet" read AuthRoleGetRequest -> AuthRoleGetResponse,
        "RoleList" read AuthRoleListRequest -> AuthRoleListResponse,
        "RoleDelete" write AuthRoleDeleteRequest -> AuthRoleDeleteResponse,
        "RoleGrantPermission" write AuthRoleGrantPermissionRequest -> AuthRoleGrantPermissionResponse,
        "RoleRevokePermission" write AuthRoleRevokePermissionRequest -> AuthRoleRevokePermissionResponse,
    }
}
