//! Why a member does not start, and why a request fails.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ferretcd_apply::ApplyError;
use ferretcd_auth::AuthError;
use ferretcd_base::MemberId;

/// An error with everything that caused it, for people. Causes that a text contains already are not repeated.
pub fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

/// A member cannot start. The text names the file or flag and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The member's files cannot be used.
    #[error(transparent)]
    DataDir(#[from] ferretcd_data_dir::OpenError),
    /// The stored configuration of the group cannot be read.
    #[error("start: row confState of the state file cannot be read: {0}")]
    ConfState(serde_json::Error),
    /// The raft node.
    #[error(transparent)]
    Raft(#[from] ferretcd_raft_node::Error),
    /// The state file was rewritten, and cannot be used.
    #[error(transparent)]
    Rewrite(#[from] ferretcd_backend::RewriteError),
    /// The member could not be compared with the others.
    #[error("check for corruption at the start: {0}")]
    InitialCheck(String),
    /// The member's data are not those of another member.
    #[error(
        "start: the data at revision {revision} differ from those of member {peer}; remove this member, and add it again with an empty data directory"
    )]
    Inconsistent {
        /// The other member.
        peer: MemberId,
        /// Where both were compared.
        revision: i64,
    },
    /// A metric of the same name is registered already.
    #[error("register the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The state machine rejected it, or a read could not be made.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The user may not make the request, or there is no user.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The password is too long to be hashed.
    #[error("hash a password: it has more than 72 bytes")]
    PasswordTooLong,
    /// This member has no key to sign a token with.
    #[error("log in: this member has no private key to sign tokens with, give --auth-token a priv-key")]
    CannotSign,
    /// The encoded request is larger than allowed.
    #[error("propose: the request is larger than {max} bytes")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// Too much is waiting to be applied.
    #[error("propose: too many requests are waiting to be applied")]
    TooManyRequests,
    /// The response is longer than a message can be.
    #[error("read: the response would have {bytes} bytes")]
    ResponseTooLarge {
        /// Its length.
        bytes: u64,
    },
    /// There is no memory for a response as long as this one, or there was none for some seconds.
    #[error("read: the memory for long responses is used up")]
    NoResponseMemory,
    /// The state file has no room for it.
    #[error("propose: the quota of the state file is used up")]
    NoSpace,
    /// The state file was not rewritten. Requests that came together share the reason.
    #[error(transparent)]
    Defragment(#[from] Arc<DefragmentError>),
    /// There is no leader to log it; it is certainly not logged.
    #[error("propose: there is no leader to log it")]
    Dropped,
    /// No response in time; whether it was logged is unknown.
    #[error("wait for the answer: timed out")]
    Timeout,
    /// No response in time, and no leader at the end of it; most likely it was never logged.
    #[error("wait for the answer: timed out without a leader")]
    TimeoutNoLeader,
    /// No response in time, and the leader was lost meanwhile.
    #[error("wait for the answer: timed out, the leader was lost")]
    TimeoutLeaderLost,
    /// There was no leader for as long as a request may take.
    #[error("wait for the answer: there is no leader")]
    NoLeader,
    /// The member is stopping.
    #[error("the member is stopping")]
    Stopped,
    /// The member is not the leader.
    #[error("move the leader: member {0} is not the leader")]
    NotLeader(MemberId),
    /// The leadership cannot go to this member.
    #[error("move the leader: {0} is no voting member")]
    BadTransferee(MemberId),
}

/// Why the state file was not rewritten. The member goes on with the one that it has. The text completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub enum DefragmentError {
    /// The disk has no room for a second file beside the first.
    #[error("defragment the state file: {missing} bytes more would have to be free on the disk of {path}")]
    DiskFull {
        /// The directory of the state file.
        path: PathBuf,
        /// How much is missing, with the room that has to stay free.
        missing: u64,
    },
    /// The room on the disk is not known.
    #[error("defragment the state file: measure the disk of {path}: {source}")]
    DiskSpace {
        /// The directory of the state file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file failed.
    #[error("defragment the state file: {}", explain(.0))]
    Rewrite(#[from] ferretcd_backend::RewriteError),
}

impl From<ferretcd_mvcc::ReadError> for RequestError {
    fn from(error: ferretcd_mvcc::ReadError) -> Self {
        Self::Apply(error.into())
    }
}

impl From<ferretcd_raft_node::Rejected> for RequestError {
    fn from(rejected: ferretcd_raft_node::Rejected) -> Self {
        match rejected {
            ferretcd_raft_node::Rejected::Full => Self::TooManyRequests,
            ferretcd_raft_node::Rejected::Stopped => Self::Stopped,
        }
    }
}
