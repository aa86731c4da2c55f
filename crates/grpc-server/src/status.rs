//! The only place where an error becomes a gRPC status. Clients compare the texts, so they come from the
//! catalogue, letter by letter.

use std::sync::Arc;

use ferretcd_api_proto::errors::{CancelReason, Code, Error, Untyped};
use ferretcd_apply::ApplyError;
use ferretcd_auth::AuthError;
use ferretcd_engine::{DefragmentError, DowngradeError, ReconfigureError, RequestError};
use ferretcd_lease::GrantError;
use ferretcd_membership::{ChangeError, TooRisky};
use ferretcd_watch::End;
use http::{HeaderMap, HeaderValue};
use tonic::Status;

use crate::library_errors;

/// The status of any error.
pub(crate) fn status(error: impl Into<RpcError>) -> Status {
    match error.into() {
        RpcError::Typed(error) => Status::new(error.wire_code().into(), error.message()),
        RpcError::Documented(error) => Status::new(error.code().into(), error.message()),
        RpcError::Untyped(error) => Status::new(error.code().into(), error.message()),
        RpcError::TooLarge { bytes } => {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            library_errors::too_large_to_send(bytes, i32::MAX as usize)
        }
        RpcError::Defragment(error) => {
            Status::new(Code::Unknown.into(), format!("failed to {}", ferretcd_engine::explain(&error)))
        }
        RpcError::Unimplemented(what) => {
            Status::new(Code::Unimplemented.into(), format!("this version of ferretcd does not {what}"))
        }
    }
}

/// The end of a stream of responses without an error.
pub(crate) fn ok() -> Status {
    Status::new(tonic::Code::Ok, "")
}

/// A status as the end of a stream of responses.
pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // Its texts are the catalogue's or the library's; without one the code is still right.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from(status.code() as i32));
    }
    trailers
}

/// An error of the catalogue, or one that the catalogue has no word for.
pub(crate) enum RpcError {
    Typed(Error),
    /// One that etcd does not send at this place, so with the code that its documentation gives it.
    Documented(Error),
    Untyped(Untyped),
    /// A response of so many bytes, which no message can have.
    TooLarge {
        bytes: u64,
    },
    /// A defragmentation failed; etcd passes on what the system says.
    Defragment(Arc<DefragmentError>),
    /// Something of etcd's API that ferretcd does not do; the text completes "does not".
    Unimplemented(&'static str),
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        Self::Typed(error)
    }
}

impl From<Untyped> for RpcError {
    fn from(error: Untyped) -> Self {
        Self::Untyped(error)
    }
}

impl From<RequestError> for RpcError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Apply(error) => error.into(),
            RequestError::Auth(error) => error.into(),
            RequestError::PasswordTooLong => Untyped::PasswordTooLong.into(),
            RequestError::CannotSign => Untyped::VerifyOnly.into(),
            RequestError::TooLarge { .. } => Error::RequestTooLarge.into(),
            RequestError::TooManyRequests => Error::RequestTooManyRequests.into(),
            RequestError::ResponseTooLarge { bytes } => RpcError::TooLarge { bytes },
            RequestError::NoResponseMemory => RpcError::Documented(Error::RequestTooManyRequests),
            RequestError::NoSpace => Error::NoSpace.into(),
            RequestError::Defragment(error) => RpcError::Defragment(error),
            RequestError::Dropped => Untyped::ProposalDropped.into(),
            RequestError::Timeout => Error::Timeout.into(),
            // What etcd returns for a proposal that no leader has taken in time.
            RequestError::TimeoutNoLeader => Untyped::ContextDeadlineExceeded.into(),
            RequestError::TimeoutLeaderLost => Error::TimeoutDueToLeaderFail.into(),
            RequestError::NoLeader => Error::NoLeader.into(),
            RequestError::Stopped => Error::Stopped.into(),
            RequestError::NotLeader(_) => Error::NotLeader.into(),
            RequestError::BadTransferee(_) => Error::BadLeaderTransferee.into(),
        }
    }
}

impl From<ReconfigureError> for RpcError {
    fn from(error: ReconfigureError) -> Self {
        match error {
            ReconfigureError::Request(error) => error.into(),
            ReconfigureError::Risky(TooRisky::NotEnoughStarted { .. }) => {
                Error::MemberNotEnoughStarted.into()
            }
            ReconfigureError::Risky(TooRisky::Unhealthy { .. }) => Error::Unhealthy.into(),
            ReconfigureError::NotReady(_) => Error::LearnerNotReady.into(),
            ReconfigureError::TimeoutWaitApplied => Error::TimeoutWaitAppliedIndex.into(),
        }
    }
}

impl From<DowngradeError> for RpcError {
    fn from(error: DowngradeError) -> Self {
        match error {
            DowngradeError::Request(error) => error.into(),
            DowngradeError::NotAVersion(_) => Error::WrongDowngradeVersionFormat.into(),
            DowngradeError::NoClusterVersion => Error::ClusterVersionUnavailable.into(),
            DowngradeError::NotNext { .. } => Error::InvalidDowngradeTargetVersion.into(),
            DowngradeError::InProgress(_) => Error::DowngradeInProcess.into(),
        }
    }
}

impl From<ApplyError> for RpcError {
    fn from(error: ApplyError) -> Self {
        let error = match error {
            ApplyError::KeyNotFound => Error::KeyNotFound,
            ApplyError::LeaseNotFound | ApplyError::Grant(GrantError::NoId) => Error::LeaseNotFound,
            ApplyError::Grant(GrantError::Exists(_)) => Error::LeaseExist,
            ApplyError::Grant(GrantError::TtlTooLarge(_)) => Error::LeaseTTLTooLarge,
            ApplyError::Compacted { .. } => Error::Compacted,
            ApplyError::Future { .. } => Error::FutureRev,
            ApplyError::Auth(error) => return error.into(),
            ApplyError::NoSpace => Error::NoSpace,
            ApplyError::Corrupt => Error::Corrupt,
            ApplyError::Membership(ChangeError::IdExists(_)) => Error::MemberExist,
            ApplyError::Membership(
                ChangeError::IdRemoved(_) | ChangeError::NotFound(_) | ChangeError::OtherMember { .. },
            ) => Error::MemberNotFound,
            ApplyError::Membership(ChangeError::PeerUrlExists(_)) => Error::PeerURLExist,
            ApplyError::Membership(ChangeError::NotLearner(_)) => Error::MemberNotLearner,
            ApplyError::Membership(ChangeError::TooManyLearners { .. }) => Error::TooManyLearners,
            ApplyError::Membership(ChangeError::LastVoter(_)) => Error::MemberNotEnoughStarted,
            // The member has logged it and is on its way out.
            ApplyError::Fault(_) => Error::Stopped,
        };
        Self::Typed(error)
    }
}

impl From<AuthError> for RpcError {
    fn from(error: AuthError) -> Self {
        Self::Typed(match error {
            AuthError::NoRootUser => Error::RootUserNotExist,
            AuthError::RootLacksRole => Error::RootRoleNotExist,
            AuthError::Disabled => Error::AuthNotEnabled,
            AuthError::Failed => Error::AuthFailed,
            AuthError::NoPassword => return Untyped::NoPasswordUser.into(),
            AuthError::NoUser => Error::UserEmpty,
            AuthError::UserExists => Error::UserAlreadyExist,
            AuthError::UserNotFound => Error::UserNotFound,
            AuthError::NoRole => Error::RoleEmpty,
            AuthError::RoleExists => Error::RoleAlreadyExist,
            AuthError::RoleNotFound => Error::RoleNotFound,
            AuthError::RoleNotGranted => Error::RoleNotGranted,
            AuthError::NoPermission => Error::PermissionNotGiven,
            AuthError::PermissionNotGranted => Error::PermissionNotGranted,
            AuthError::InvalidChange => Error::InvalidAuthMgmt,
            AuthError::Denied => Error::PermissionDenied,
            AuthError::OldRevision => Error::AuthOldRevision,
            AuthError::InvalidToken => Error::InvalidAuthToken,
        })
    }
}

impl From<End> for RpcError {
    fn from(end: End) -> Self {
        Self::Typed(match end {
            End::NoLeader => Error::NoLeader,
            End::Stopped => Error::Stopped,
        })
    }
}

/// Why a watch may not be, as etcd puts it into a response: its language's text of a status.
pub(crate) fn cancel_text(status: &Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

/// Why a watch could not be created. It goes into a response, because the stream goes on.
pub(crate) fn cancel_reason(reason: ferretcd_watch::CreateError) -> CancelReason {
    match reason {
        ferretcd_watch::CreateError::EmptyRange => CancelReason::EmptyRange,
        ferretcd_watch::CreateError::DuplicateId => CancelReason::DuplicateId,
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_base::MemberId;
    use ferretcd_membership::Version;
    use tonic::Code as TonicCode;

    use super::*;

    fn check(error: impl Into<RpcError>, code: TonicCode, message: &str) {
        let status = status(error);
        assert_eq!((status.code(), status.message()), (code, message));
    }

    #[test]
    fn errors_have_etcds_codes_and_texts() {
        use TonicCode::{DataLoss, Unavailable, Unimplemented, Unknown};
        use TonicCode::{FailedPrecondition, InvalidArgument, NotFound, OutOfRange, ResourceExhausted};
        let compacted = ApplyError::Compacted { requested: 1, compacted: 2 };
        let future = ApplyError::Future { requested: 2, current: 1 };
        check(compacted, OutOfRange, "etcdserver: mvcc: required revision has been compacted");
        check(future, OutOfRange, "etcdserver: mvcc: required revision is a future revision");
        check(ApplyError::KeyNotFound, InvalidArgument, "etcdserver: key not found");
        check(ApplyError::LeaseNotFound, NotFound, "etcdserver: requested lease not found");
        check(ApplyError::NoSpace, ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        check(RequestError::NoSpace, ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        check(ApplyError::Corrupt, DataLoss, "etcdserver: corrupt cluster");
        check(RequestError::TooLarge { max: 1 }, InvalidArgument, "etcdserver: request is too large");
        check(RequestError::TooManyRequests, Unknown, "etcdserver: too many requests");
        check(RequestError::TimeoutNoLeader, TonicCode::DeadlineExceeded, "context deadline exceeded");
        check(RequestError::Dropped, Unknown, "raft proposal dropped");
        check(RequestError::Timeout, Unavailable, "etcdserver: request timed out");
        check(
            RequestError::TimeoutLeaderLost,
            Unavailable,
            "etcdserver: request timed out, possibly due to previous leader failure",
        );
        check(RequestError::NoLeader, Unavailable, "etcdserver: no leader");
        check(RequestError::Stopped, Unavailable, "etcdserver: server stopped");
        check(End::NoLeader, Unavailable, "etcdserver: no leader");
        check(End::Stopped, Unavailable, "etcdserver: server stopped");
        check(RequestError::NotLeader(MemberId(1)), FailedPrecondition, "etcdserver: not leader");
        check(
            RequestError::BadTransferee(MemberId(1)),
            FailedPrecondition,
            "etcdserver: bad leader transferee",
        );
        check(ChangeErrorCase(ChangeError::NotFound(MemberId(1))), NotFound, "etcdserver: member not found");
        check(ChangeErrorCase(ChangeError::LastVoter(MemberId(1))), Unknown, NOT_ENOUGH_STARTED);
        check(
            ChangeErrorCase(ChangeError::TooManyLearners { learners: 1, max: 1 }),
            FailedPrecondition,
            "etcdserver: too many learner members in cluster",
        );
        let text = "etcdserver: wrong downgrade target version format";
        check(DowngradeError::NotAVersion("x".to_owned()), InvalidArgument, text);
        let text = "etcdserver: cluster version not found during downgrade";
        check(DowngradeError::NoClusterVersion, FailedPrecondition, text);
        let (current, target) = (Version { major: 3, minor: 7 }, Version { major: 3, minor: 5 });
        let text = "etcdserver: invalid downgrade target version";
        check(DowngradeError::NotNext { current, target }, InvalidArgument, text);
        let text = "etcdserver: cluster has a downgrade job in progress";
        check(DowngradeError::InProgress("3.6.0".to_owned()), FailedPrecondition, text);
        check(DowngradeError::from(RequestError::NoLeader), Unavailable, "etcdserver: no leader");
        let not_started = TooRisky::NotEnoughStarted { started: 1, quorum: 2 };
        let unhealthy = TooRisky::Unhealthy { active: 1, quorum: 2 };
        check(ReconfigureError::from(not_started), Unknown, NOT_ENOUGH_STARTED);
        check(ReconfigureError::from(unhealthy), Unavailable, "etcdserver: unhealthy cluster");
        check(
            ReconfigureError::NotReady(MemberId(1)),
            FailedPrecondition,
            "etcdserver: can only promote a learner member which is in sync with leader",
        );
        check(
            ReconfigureError::TimeoutWaitApplied,
            Unavailable,
            "etcdserver: request timed out, waiting for the applied index took too long",
        );
        check(
            AuthError::Failed,
            InvalidArgument,
            "etcdserver: authentication failed, invalid user ID or password",
        );
        check(
            ApplyError::from(AuthError::Denied),
            TonicCode::PermissionDenied,
            "etcdserver: permission denied",
        );
        check(
            RequestError::from(AuthError::InvalidToken),
            TonicCode::Unauthenticated,
            "etcdserver: invalid auth token",
        );
        check(RequestError::PasswordTooLong, Unknown, "bcrypt: password length exceeds 72 bytes");
        check(RequestError::CannotSign, Unknown, "auth: token signing attempted with verify-only key");
        assert_eq!(
            cancel_text(&status(AuthError::NoUser)),
            "rpc error: code = InvalidArgument desc = etcdserver: user name is empty"
        );
        let full = DefragmentError::DiskFull { path: "/data/member".into(), missing: 7 };
        check(
            RequestError::from(Arc::new(full)),
            Unknown,
            "failed to defragment the state file: 7 bytes more would have to be free on the disk of /data/member",
        );
        check(RpcError::Unimplemented("fly"), Unimplemented, "this version of ferretcd does not fly");
    }

    const NOT_ENOUGH_STARTED: &str = "etcdserver: re-configuration failed due to not enough started members";

    struct ChangeErrorCase(ChangeError);

    impl From<ChangeErrorCase> for RpcError {
        fn from(case: ChangeErrorCase) -> Self {
            ApplyError::from(case.0).into()
        }
    }
}
