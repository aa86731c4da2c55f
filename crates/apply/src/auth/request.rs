//! The requests about users and roles, as a log entry has them.

use std::fmt;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{
    AuthDisableRequest, AuthEnableRequest, AuthRoleAddRequest, AuthRoleDeleteRequest, AuthRoleGetRequest,
    AuthRoleGrantPermissionRequest, AuthRoleListRequest, AuthRoleRevokePermissionRequest, AuthStatusRequest,
    AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserDeleteRequest, AuthUserGetRequest,
    AuthUserGrantRoleRequest, AuthUserListRequest, AuthUserRevokeRoleRequest, InternalAuthenticateRequest,
    RequestHeader,
};

use crate::Kind;
use crate::command::{self, submessage};

/// For each request: its kind, the number of its field in `InternalRaftRequest`, and its type.
macro_rules! auth_requests {
    ($($(#[doc = $doc:literal])+ $variant:ident = $kind:ident($tag:literal, $request:ty);)+) => {
        /// A request about users and roles. Its debug text is the name of its kind: it may hold a secret.
        #[derive(Clone, PartialEq)]
        pub enum AuthRequest {
            $($(#[doc = $doc])+ $variant($request),)+
        }

        impl AuthRequest {
            pub(crate) fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant(_) => Kind::$kind,)+
                }
            }

            /// The bytes of a log entry with the request and its header.
            pub(crate) fn encode(&self, header: &RequestHeader) -> Bytes {
                match self {
                    $(Self::$variant(request) => command::encode($tag, request, header),)+
                }
            }

            /// Reads the field `tag`, of which only the number was read; `None`, and nothing read, if it is none of these.
            pub(crate) fn decode(tag: u32, bytes: &mut Bytes) -> Result<Option<Self>, prost::DecodeError> {
                Ok(match tag {
                    $($tag => Some(Self::$variant(submessage(bytes)?)),)+
                    _ => None,
                })
            }
        }
    };
}

impl fmt::Debug for AuthRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().name())
    }
}

auth_requests! {
    /// Turns authentication on.
    Enable = AuthEnable(1000, AuthEnableRequest);
    /// Turns authentication off.
    Disable = AuthDisable(1011, AuthDisableRequest);
    /// Whether authentication is on.
    Status = AuthStatus(1013, AuthStatusRequest);
    /// A user has proved its identity, and gets a token.
    Authenticate = Authenticate(1012, InternalAuthenticateRequest);
    /// Adds a user.
    UserAdd = AuthUserAdd(1100, AuthUserAddRequest);
    /// Deletes a user.
    UserDelete = AuthUserDelete(1101, AuthUserDeleteRequest);
    /// The roles of a user.
    UserGet = AuthUserGet(1102, AuthUserGetRequest);
    /// Sets a password.
    UserChangePassword = AuthUserChangePassword(1103, AuthUserChangePasswordRequest);
    /// Gives a user a role.
    UserGrantRole = AuthUserGrantRole(1104, AuthUserGrantRoleRequest);
    /// Takes a role from a user.
    UserRevokeRole = AuthUserRevokeRole(1105, AuthUserRevokeRoleRequest);
    /// The names of all users.
    UserList = AuthUserList(1106, AuthUserListRequest);
    /// The names of all roles.
    RoleList = AuthRoleList(1107, AuthRoleListRequest);
    /// Adds a role.
    RoleAdd = AuthRoleAdd(1200, AuthRoleAddRequest);
    /// Deletes a role.
    RoleDelete = AuthRoleDelete(1201, AuthRoleDeleteRequest);
    /// The permissions of a role.
    RoleGet = AuthRoleGet(1202, AuthRoleGetRequest);
    /// Gives a role a permission.
    RoleGrantPermission = AuthRoleGrantPermission(1203, AuthRoleGrantPermissionRequest);
    /// Takes a permission from a role.
    RoleRevokePermission = AuthRoleRevokePermission(1204, AuthRoleRevokePermissionRequest);
}
