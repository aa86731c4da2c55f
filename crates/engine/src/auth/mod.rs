//! The facet for users and roles.
//!
//! Changes go through the log. The member that has a request finds its user ([`gate`]); what a user
//! may do to keys is decided when a change is applied, and before a read leaves.

pub(crate) mod applied;
pub(crate) mod gate;
mod passwords;
pub(crate) mod rights_watch;
#[cfg(test)]
pub(crate) mod test_member;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use data_encoding::BASE64;
use ferretcd_api_proto::etcdserverpb::{
    AuthDisableRequest, AuthDisableResponse, AuthEnableRequest, AuthEnableResponse, AuthRoleAddRequest,
    AuthRoleAddResponse, AuthRoleDeleteRequest, AuthRoleDeleteResponse, AuthRoleGetRequest,
    AuthRoleGetResponse, AuthRoleGrantPermissionRequest, AuthRoleGrantPermissionResponse,
    AuthRoleListRequest, AuthRoleListResponse, AuthRoleRevokePermissionRequest,
    AuthRoleRevokePermissionResponse, AuthStatusRequest, AuthStatusResponse, AuthUserAddRequest,
    AuthUserAddResponse, AuthUserChangePasswordRequest, AuthUserChangePasswordResponse,
    AuthUserDeleteRequest, AuthUserDeleteResponse, AuthUserGetRequest, AuthUserGetResponse,
    AuthUserGrantRoleRequest, AuthUserGrantRoleResponse, AuthUserListRequest, AuthUserListResponse,
    AuthUserRevokeRoleRequest, AuthUserRevokeRoleResponse, AuthenticateRequest, AuthenticateResponse,
    InternalAuthenticateRequest,
};
use ferretcd_auth::AuthError;
use zeroize::Zeroizing;

use self::gate::Gate;
pub(crate) use self::passwords::Passwords;
use self::tokens::Known;
pub use self::tokens::TokenConfig;
use crate::parts::Parts;
use crate::proposer::Proposer;
use crate::read_index::ReadIndex;
use crate::{Caller, MemberInfo, RequestError};

/// Bytes of a name that stand in the log.
const NAME_BYTES_SHOWN: usize = 256;

/// Users, roles and what they may do. Responses come with their header. Everything goes through the log, reads as well, so
/// everything needs a quorum.
#[derive(Clone, Debug)]
pub struct Auth {
    proposer: Proposer,
    read_index: ReadIndex,
    gate: Gate,
    passwords: Arc<Passwords>,
    member: MemberInfo,
}

/// Methods that propose their request as it is.
macro_rules! proposed {
    ($($(#[doc = $doc:literal])+ $name:ident($request:ty) -> $response:ty;)+) => {
        impl Auth {
            $($(#[doc = $doc])+
            pub async fn $name(&self, caller: &Caller, request: $request) -> Result<$response, RequestError> {
                self.proposer.propose(caller, request).await
            })+
        }
    };
}

proposed! {
    /// Turns authentication on. Durable on return.
    enable(AuthEnableRequest) -> AuthEnableResponse;
    /// Turns authentication off. Durable on return.
    disable(AuthDisableRequest) -> AuthDisableResponse;
    /// Whether authentication is on, and the revision of users and roles. Needs no user.
    status(AuthStatusRequest) -> AuthStatusResponse;
    /// Deletes a user. Durable on return.
    user_delete(AuthUserDeleteRequest) -> AuthUserDeleteResponse;
    /// The roles of a user.
    user_get(AuthUserGetRequest) -> AuthUserGetResponse;
    /// The names of all users.
    user_list(AuthUserListRequest) -> AuthUserListResponse;
    /// Gives a user a role. Durable on return.
    user_grant_role(AuthUserGrantRoleRequest) -> AuthUserGrantRoleResponse;
    /// Takes a role from a user. Durable on return.
    user_revoke_role(AuthUserRevokeRoleRequest) -> AuthUserRevokeRoleResponse;
    /// Adds a role. Durable on return.
    role_add(AuthRoleAddRequest) -> AuthRoleAddResponse;
    /// Deletes a role. Durable on return.
    role_delete(AuthRoleDeleteRequest) -> AuthRoleDeleteResponse;
    /// The permissions of a role.
    role_get(AuthRoleGetRequest) -> AuthRoleGetResponse;
    /// The names of all roles.
    role_list(AuthRoleListRequest) -> AuthRoleListResponse;
    /// Gives a role a permission. Durable on return.
    role_grant_permission(AuthRoleGrantPermissionRequest) -> AuthRoleGrantPermissionResponse;
    /// Takes a permission from a role. Durable on return.
    role_revoke_permission(AuthRoleRevokePermissionRequest) -> AuthRoleRevokePermissionResponse;
}

impl Auth {
    pub(crate) fn new(parts: &Parts) -> Self {
        let config = parts.member.config();
        Self {
            proposer: parts.proposer.clone(),
            read_index: parts.read_index.clone(),
            gate: parts.gate.clone(),
            passwords: Arc::new(Passwords::start(config.bcrypt_cost)),
            member: parts.member.clone(),
        }
    }

    /// Whether authentication is on, as far as this member knows.
    pub fn is_enabled(&self) -> bool {
        self.gate.state().is_enabled()
    }

    /// The user of a token as far as this member knows, for a log; `None` while authentication is off.
    pub fn user_of(&self, token: &Bytes) -> Option<Arc<str>> {
        if !self.is_enabled() {
            return None;
        }
        match self.gate.tokens().find(token, Instant::now(), self.member.applied_index()) {
            Known::User { name, .. } => Some(name),
            Known::NotYet | Known::NoUser | Known::Rejected(_) => None,
        }
    }

    /// Adds a user. The password is hashed first. Durable on return.
    pub async fn user_add(
        &self,
        caller: &Caller,
        mut request: AuthUserAddRequest,
    ) -> Result<AuthUserAddResponse, RequestError> {
        let password = Zeroizing::new(std::mem::take(&mut request.password));
        if !request.options.is_some_and(|options| options.no_password) {
            request.hashed_password = self.hash(caller, password).await?;
        }
        self.proposer.propose(caller, request).await
    }

    /// Sets a password. It is hashed first; with an empty one no login succeeds. Durable on return.
    pub async fn user_change_password(
        &self,
        caller: &Caller,
        mut request: AuthUserChangePasswordRequest,
    ) -> Result<AuthUserChangePasswordResponse, RequestError> {
        let password = Zeroizing::new(std::mem::take(&mut request.password));
        if !password.is_empty() {
            request.hashed_password = self.hash(caller, password).await?;
        }
        self.proposer.propose(caller, request).await
    }

    /// The text that goes into the log. Only for a caller whose request will be executed, as far as this member knows:
    /// the work is worth a check.
    async fn hash(&self, caller: &Caller, password: Zeroizing<String>) -> Result<String, RequestError> {
        self.passwords.check_length(&password)?;
        self.gate.check_root(caller).await?;
        Ok(BASE64.encode(self.passwords.hash(password).await?.as_bytes()))
    }

    /// Logs a user in: the token by which this and, as far as the kind of tokens allows it, every member knows the user.
    ///
    /// Costs a linearizable read, a proposal, and some 50 ms of a processor for a password that was not verified in the last
    /// minute; those wait for each other.
    pub async fn authenticate(
        &self,
        request: AuthenticateRequest,
    ) -> Result<AuthenticateResponse, RequestError> {
        self.read_index.wait().await?;
        let AuthenticateRequest { name, password } = request;
        let password = Zeroizing::new(password);
        loop {
            let verified = self.verify(&name, &password).await.inspect_err(|error| {
                if !matches!(error, RequestError::Auth(AuthError::Disabled)) {
                    tracing::warn!(user = shown(&name), %error, "invalid authentication was requested");
                }
            })?;
            let login = InternalAuthenticateRequest {
                name: name.clone(),
                simple_token: self.gate.tokens().new_letters(),
                ..InternalAuthenticateRequest::default()
            };
            let (header, login) = self.proposer.propose(&Caller::ANONYMOUS, login).await?;
            // Otherwise the password may have been changed between its verification and now.
            if verified == self.gate.state().revision() {
                let token = self.gate.tokens().issue(login).await?;
                return Ok(AuthenticateResponse { header: Some(header), token });
            }
            tracing::info!("revision when password checked became stale; retrying");
        }
    }

    /// Verifies a password; the revision of users and roles that it was verified at.
    async fn verify(&self, name: &str, password: &Zeroizing<String>) -> Result<u64, RequestError> {
        let state = self.gate.state();
        if !state.is_enabled() {
            return Err(AuthError::Disabled.into());
        }
        let hash = match state.user(name) {
            Some(user) => Some(user.password_hash().ok_or(AuthError::NoPassword)?),
            None => None,
        };
        if self.passwords.verify(name, password, hash).await? {
            return Ok(state.revision());
        }
        tracing::info!("user-name" = shown(name), "invalid password");
        Err(AuthError::Failed.into())
    }

    /// What the headers of responses say about this member.
    pub fn member(&self) -> &MemberInfo {
        &self.member
    }
}

/// The beginning of a name, which any client may have sent, for the log.
fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_SHOWN)]
}
