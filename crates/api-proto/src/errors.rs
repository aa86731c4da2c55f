//! The errors of the API's services.
//!
//! Clients tell errors apart by their texts more than by their codes, so every text here is part of the API, to
//! the byte. Both sets are closed: own errors can be mapped to them in one exhaustive match.
//!
//! - [`Error`]: the errors that clients have types for.
//! - [`Untyped`]: the others with a fixed text.
//! - [`CancelReason`]: why a watch is not created, inside a response.
//! - [`Code`]: gRPC's status codes.
//!
//! The lock and election services return every error with [`Code::Unknown`], whatever its own code.
//!
//! ```
//! use ferretcd_api_proto::errors::{Code, Error};
//!
//! assert_eq!(Error::EmptyKey.message(), "etcdserver: key is not provided");
//! assert_eq!(Error::EmptyKey.wire_code(), Code::InvalidArgument);
//! ```

use std::fmt;

mod code;

pub use code::Code;

/// Writes a closed set of errors down as one table: documentation, name, code, text.
macro_rules! catalogue {
    (
        $(#[$attribute:meta])*
        $name:ident
        $($(#[doc = $doc:literal])+ $variant:ident: $code:ident, $message:literal;)+
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// Every error of the set, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code that belongs to the error.
            #[must_use]
            pub const fn code(self) -> Code {
                match self {
                    $(Self::$variant => Code::$code,)+
                }
            }

            /// The exact text of the status.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.message())
            }
        }

        impl std::error::Error for $name {}
    };
}

impl Error {
    /// The code that is sent.
    ///
    /// It is [`code`](Self::code) but for two errors, which etcd's server sends as [`Code::Unknown`]; clients
    /// still know them by their text.
    #[must_use]
    pub const fn wire_code(self) -> Code {
        match self {
            Self::MemberNotEnoughStarted | Self::RequestTooManyRequests => Code::Unknown,
            error => error.code(),
        }
    }
}

/// Why a watch could not be created. It is no status, because the stream goes on: the text stands in
/// `WatchResponse.cancel_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// The start revision is negative.
    Compacted,
    /// The range ends before it begins.
    EmptyRange,
    /// The stream has a watch of the id.
    DuplicateId,
}

impl CancelReason {
    /// The exact text.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Compacted => Error::Compacted.message(),
            Self::EmptyRange => "mvcc: watcher range is empty",
            Self::DuplicateId => "mvcc: duplicate watch ID provided on the WatchStream",
        }
    }
}

catalogue! {
    /// An error that clients have a type for. Each name is that of etcd's own constant without `ErrGRPC`.
    Error

    /// A request, an operation or a comparison without a key.
    EmptyKey: InvalidArgument, "etcdserver: key is not provided";
    /// A put that keeps the value or lease of a key that does not exist, or an operation without a request.
    KeyNotFound: InvalidArgument, "etcdserver: key not found";
    /// A put that keeps the value and brings one.
    ValueProvided: InvalidArgument, "etcdserver: value is provided";
    /// A put that keeps the lease and brings one.
    LeaseProvided: InvalidArgument, "etcdserver: lease is provided";
    /// A transaction with more operations than the server allows.
    TooManyOps: InvalidArgument, "etcdserver: too many operations in txn request";
    /// A branch of a transaction that writes a key twice.
    DuplicateKey: InvalidArgument, "etcdserver: duplicate key given in txn request";
    /// The metadata `client-api-version` is not UTF-8.
    InvalidClientAPIVersion: InvalidArgument, "etcdserver: invalid client api version";
    /// An unknown sort order or sort target.
    InvalidSortOption: InvalidArgument, "etcdserver: invalid sort option";
    /// The revision is below what is kept, or, for a compaction, compacted already.
    Compacted: OutOfRange, "etcdserver: mvcc: required revision has been compacted";
    /// The revision does not exist yet.
    FutureRev: OutOfRange, "etcdserver: mvcc: required revision is a future revision";
    /// The database has reached its quota, or the alarm for that is raised.
    NoSpace: ResourceExhausted, "etcdserver: mvcc: database space exceeded";
    /// No lease has this id.
    LeaseNotFound: NotFound, "etcdserver: requested lease not found";
    /// The id is that of a lease.
    LeaseExist: FailedPrecondition, "etcdserver: lease already exists";
    /// A time to live above 9,000,000,000 s.
    LeaseTTLTooLarge: OutOfRange, "etcdserver: too large lease TTL";
    /// The call of a watch stream was cancelled.
    WatchCanceled: Canceled, "etcdserver: watch canceled";
    /// The id is that of a member.
    MemberExist: FailedPrecondition, "etcdserver: member ID already exist";
    /// Another member has one of the URLs.
    PeerURLExist: FailedPrecondition, "etcdserver: Peer URLs already exists";
    /// The change would leave too few started members. Sent with the code Unknown.
    MemberNotEnoughStarted: FailedPrecondition, "etcdserver: re-configuration failed due to not enough started members";
    /// No peer URLs, or one that cannot be parsed.
    MemberBadURLs: InvalidArgument, "etcdserver: given member URLs are invalid";
    /// No member has this id, or it was removed.
    MemberNotFound: NotFound, "etcdserver: member not found";
    /// A promotion of a voting member.
    MemberNotLearner: FailedPrecondition, "etcdserver: can only promote a learner member";
    /// A promotion of a learner whose log is below 90 % of the leader's.
    LearnerNotReady: FailedPrecondition, "etcdserver: can only promote a learner member which is in sync with leader";
    /// The cluster has all the learners that the server allows.
    TooManyLearners: FailedPrecondition, "etcdserver: too many learner members in cluster";
    /// The member belongs to another cluster. No service returns it.
    ClusterIDMismatch: FailedPrecondition, "etcdserver: cluster ID mismatch";
    /// The encoded proposal is larger than the server allows.
    RequestTooLarge: InvalidArgument, "etcdserver: request is too large";
    /// More than 5,000 committed entries wait for being applied. Sent with the code Unknown.
    RequestTooManyRequests: ResourceExhausted, "etcdserver: too many requests";
    /// Authentication cannot be enabled without the user root.
    RootUserNotExist: FailedPrecondition, "etcdserver: root user does not exist";
    /// Authentication cannot be enabled while the user root lacks the role root.
    RootRoleNotExist: FailedPrecondition, "etcdserver: root user does not have root role";
    /// The name is that of a user.
    UserAlreadyExist: FailedPrecondition, "etcdserver: user name already exists";
    /// A user without a name, or a call without credentials while authentication is on.
    UserEmpty: InvalidArgument, "etcdserver: user name is empty";
    /// No user has this name.
    UserNotFound: FailedPrecondition, "etcdserver: user name not found";
    /// The name is that of a role.
    RoleAlreadyExist: FailedPrecondition, "etcdserver: role name already exists";
    /// No role has this name.
    RoleNotFound: FailedPrecondition, "etcdserver: role name not found";
    /// A role without a name.
    RoleEmpty: InvalidArgument, "etcdserver: role name is empty";
    /// An unknown user or a wrong password; the error does not show which.
    AuthFailed: InvalidArgument, "etcdserver: authentication failed, invalid user ID or password";
    /// A request to grant a permission that has none in it.
    PermissionNotGiven: InvalidArgument, "etcdserver: permission not given";
    /// The user lacks the permission, or the role root.
    PermissionDenied: PermissionDenied, "etcdserver: permission denied";
    /// The user does not have the role.
    RoleNotGranted: FailedPrecondition, "etcdserver: role is not granted to the user";
    /// The role does not have exactly this permission.
    PermissionNotGranted: FailedPrecondition, "etcdserver: permission is not granted to the role";
    /// Authentication is off.
    AuthNotEnabled: FailedPrecondition, "etcdserver: authentication is not enabled";
    /// The token is unknown, has expired or is malformed.
    InvalidAuthToken: Unauthenticated, "etcdserver: invalid auth token";
    /// A change of users or roles that would lock all users out, or a permission on an impossible range.
    InvalidAuthMgmt: InvalidArgument, "etcdserver: invalid auth management";
    /// Users or roles have changed since the token was issued.
    AuthOldRevision: InvalidArgument, "etcdserver: revision of auth store is old";
    /// The member has no leader, and the call needs one.
    NoLeader: Unavailable, "etcdserver: no leader";
    /// The call is for the leader, which this member is not.
    NotLeader: FailedPrecondition, "etcdserver: not leader";
    /// The leader changed while the call waited.
    LeaderChanged: Unavailable, "etcdserver: leader changed";
    /// The cluster's version does not know the call.
    NotCapable: FailedPrecondition, "etcdserver: not capable";
    /// The member is shutting down.
    Stopped: Unavailable, "etcdserver: server stopped";
    /// No result in time: 5 s and two election timeouts.
    Timeout: Unavailable, "etcdserver: request timed out";
    /// No result in time, and the leader was lost meanwhile.
    TimeoutDueToLeaderFail: Unavailable, "etcdserver: request timed out, possibly due to previous leader failure";
    /// No result in time, and the connection to a quorum was lost meanwhile.
    TimeoutDueToConnectionLost: Unavailable, "etcdserver: request timed out, possibly due to connection lost";
    /// The member did not catch up with the log within a second.
    TimeoutWaitAppliedIndex: Unavailable, "etcdserver: request timed out, waiting for the applied index took too long";
    /// The change would be risky, for the connection to a quorum is not stable.
    Unhealthy: Unavailable, "etcdserver: unhealthy cluster";
    /// A change while the CORRUPT alarm is active.
    Corrupt: DataLoss, "etcdserver: corrupt cluster";
    /// A learner serves only few calls, not this one.
    NotSupportedForLearner: FailedPrecondition, "etcdserver: rpc not supported for learner";
    /// The next leader is unknown or a learner.
    BadLeaderTransferee: FailedPrecondition, "etcdserver: bad leader transferee";
    /// The target of a downgrade is not a version.
    WrongDowngradeVersionFormat: InvalidArgument, "etcdserver: wrong downgrade target version format";
    /// The target of a downgrade is not the previous minor version.
    InvalidDowngradeTargetVersion: InvalidArgument, "etcdserver: invalid downgrade target version";
    /// A downgrade before the cluster has agreed on a version.
    ClusterVersionUnavailable: FailedPrecondition, "etcdserver: cluster version not found during downgrade";
    /// Another downgrade is running.
    DowngradeInProcess: FailedPrecondition, "etcdserver: cluster has a downgrade job in progress";
    /// No downgrade is running. Calling one off hides it.
    NoInflightDowngrade: FailedPrecondition, "etcdserver: no inflight downgrade job";
    /// The caller cancelled while the call was waiting for another member.
    Canceled: Canceled, "etcdserver: request canceled";
    /// The caller's deadline ended. Usually the caller sees [`Untyped::ContextDeadlineExceeded`] instead.
    DeadlineExceeded: DeadlineExceeded, "etcdserver: context deadline exceeded";
}

catalogue! {
    /// An error with a fixed text that clients have no type for. Nearly all arrive as [`Code::Unknown`].
    Untyped

    /// A downgrade request with an unknown action.
    UnknownMethod: Unknown, "etcdserver: unknown method";
    /// The caller's deadline ended before the leader had changed.
    TimeoutLeaderTransfer: Unknown, "etcdserver: request timed out, leader transfer took too long";
    /// A lease cannot be renewed by a member that is not sure to be the leader.
    NotPrimaryLessor: Unknown, "not a primary lessor";
    /// A password for a user that authenticates without one, or a hashed password that is none.
    NoPasswordUser: Unknown, "auth: authentication failed, password was given for no password user";
    /// The hash function takes no longer passwords.
    PasswordTooLong: Unknown, "bcrypt: password length exceeds 72 bytes";
    /// The member has only the public key of its tokens, so it can check them and make none.
    VerifyOnly: Unknown, "auth: token signing attempted with verify-only key";
    /// The member has no leader to forward a proposal to.
    ProposalDropped: Unknown, "raft proposal dropped";
    /// A proposal while the member is shutting down.
    RaftStopped: Unknown, "raft: stopped";
    /// A leader's request without the key that proves the office.
    LeaderKeyMissing: Unknown, "\"leader\" field must be provided";
    /// The election has no leader.
    ElectionNoLeader: Unknown, "election: no leader";
    /// The election has another leader.
    ElectionNotLeader: Unknown, "election: not leader";
    /// The lease ended while the lock was awaited.
    SessionExpired: Unknown, "mutex: session is expired";
    /// A streamed range cannot be sorted.
    RangeStreamSort: Unimplemented, "RangeStream does not support custom sort orders";
    /// A streamed range cannot be filtered by revisions.
    RangeStreamFilter: Unimplemented, "RangeStream does not support revision filters";
    /// The caller cancelled.
    ContextCanceled: Canceled, "context canceled";
    /// The caller's deadline ended on the server's side.
    ContextDeadlineExceeded: DeadlineExceeded, "context deadline exceeded";
}
