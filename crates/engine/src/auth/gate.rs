//! The user of a request, and whether that user may make it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use ferretcd_auth::{AuthError, AuthInfo, AuthReader, AuthState, ROOT, token_fingerprint};

use super::tokens::{Known, Tokens};
use crate::read_index::ReadIndex;
use crate::{Caller, Identity, MemberInfo, RequestError};

/// Decides about callers. Clones are cheap.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    reader: AuthReader,
    tokens: Arc<Tokens>,
    read_index: ReadIndex,
    member: MemberInfo,
}

/// The user that a request comes from; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Admitted {
    user: Option<Arc<str>>,
    /// The revision of users and roles that the user was admitted at.
    revision: u64,
}

impl Admitted {
    /// As log entries name it.
    pub(crate) fn info(&self) -> AuthInfo<'_> {
        AuthInfo { username: self.user.as_deref().unwrap_or_default(), revision: self.revision }
    }

    pub(crate) fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }
}

impl Gate {
    pub(crate) fn new(
        reader: AuthReader,
        tokens: Arc<Tokens>,
        read_index: ReadIndex,
        member: MemberInfo,
    ) -> Self {
        Self { reader, tokens, read_index, member }
    }

    /// Users and rights of the moment.
    pub(crate) fn state(&self) -> impl Deref<Target = Arc<AuthState>> + use<> {
        self.reader.load()
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The user that a request comes from: that of its token, else that of its certificate. While authentication is off
    /// no user is looked for.
    pub(crate) async fn admit(&self, caller: &Caller) -> Result<Admitted, RequestError> {
        if let Some(admitted) = self.try_admit(caller) {
            return admitted;
        }
        // The token comes from an entry that this member has not applied yet.
        self.read_index.wait().await?;
        self.try_admit(caller).unwrap_or(Err(AuthError::InvalidToken.into()))
    }

    /// The same without waiting; `None` if this member may not have heard of the token yet.
    pub(crate) fn try_admit(&self, caller: &Caller) -> Option<Result<Admitted, RequestError>> {
        let state = self.state();
        if !state.is_enabled() {
            return Some(Ok(Admitted::default()));
        }
        let at_present = |user: Arc<str>| Admitted { user: Some(user), revision: state.revision() };
        Some(Ok(match &caller.identity {
            Identity::Token(token) => {
                match self.tokens.find(token, Instant::now(), self.member.applied_index()) {
                    Known::User { name, revision } => {
                        Admitted { user: Some(name), revision: revision.unwrap_or(state.revision()) }
                    }
                    Known::NotYet => return None,
                    no_user @ (Known::NoUser | Known::Rejected(_)) => {
                        if let Known::Rejected(error) = no_user {
                            tracing::warn!(%error, "failed to parse a JWT token");
                        }
                        tracing::warn!("token-fingerprint" = token_fingerprint(token), "invalid auth token");
                        return Some(Err(AuthError::InvalidToken.into()));
                    }
                }
            }
            Identity::CommonName(name) if self.member.config().client_cert_auth => {
                at_present(Arc::clone(name))
            }
            Identity::Anonymous | Identity::CommonName(_) => Admitted::default(),
            Identity::User { name, auth_revision } => {
                Admitted { user: Some(Arc::clone(name)), revision: *auth_revision }
            }
            Identity::Member => at_present(ROOT.into()),
        }))
    }

    /// The user whose rights a stream of requests relies on, if that is known before its first request.
    pub(crate) fn lasting_user(&self, caller: &Caller) -> Option<Arc<str>> {
        match &caller.identity {
            Identity::CommonName(name) if self.member.config().client_cert_auth => Some(Arc::clone(name)),
            Identity::User { name, .. } => Some(Arc::clone(name)),
            Identity::Member => Some(ROOT.into()),
            Identity::Anonymous | Identity::CommonName(_) | Identity::Token(_) => None,
        }
    }

    /// Whether the caller may do what needs the role root.
    pub(crate) async fn check_root(&self, caller: &Caller) -> Result<(), RequestError> {
        let admitted = self.admit(caller).await?;
        Ok(self.state().check_root(admitted.info())?)
    }

    /// The same without waiting, for calls that may block and have waited before.
    pub(crate) fn check_root_now(&self, caller: &Caller) -> Result<(), AuthError> {
        match self.try_admit(caller) {
            Some(Ok(admitted)) => self.state().check_root(admitted.info()),
            Some(Err(_)) | None => Err(AuthError::InvalidToken),
        }
    }

    /// Whether the caller has a valid credential. Its user need not exist, as in etcd.
    pub(crate) async fn check_user(&self, caller: &Caller) -> Result<Admitted, RequestError> {
        if !self.state().is_enabled() {
            return Ok(Admitted::default());
        }
        let admitted = self.admit(caller).await?;
        if admitted.user.is_some() { Ok(admitted) } else { Err(AuthError::NoUser.into()) }
    }

    /// Does a read that the caller must have the right to: checked before, and void if users or roles change meanwhile.
    pub(crate) async fn guard<T>(
        &self,
        caller: &Caller,
        check: impl Fn(&AuthState, AuthInfo<'_>) -> Result<(), AuthError>,
        read: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        // May do everything, whatever changes.
        if caller.identity == Identity::Member {
            return read.await;
        }
        let admitted = self.admit(caller).await?;
        check(&self.state(), admitted.info())?;
        let result = read.await;
        if admitted.revision != 0 && admitted.revision != self.state().revision() {
            return Err(AuthError::OldRevision.into());
        }
        result
    }
}

#[cfg(test)]
mod tests;
