//! The members of the cluster: changing them, leading them, and what a member tells the others of itself.
//!
//! A change is checked against what this member sees, proposed, and decided when its entry is applied; the one who
//! asked waits for that. A member that is added as a voter first gets the log without a vote, and the leader lets it
//! vote when it has nearly all of it.

mod change;
mod membership_log;
mod promote;
mod publish;
mod removal;
mod transfer;
mod version;

use std::time::Duration;

use ferretcd_apply::ApplyError;
use ferretcd_base::MemberId;
use ferretcd_membership::{ChangeError, TooRisky};

pub(crate) use membership_log::log_changes;

use crate::{Engine, RequestError};

/// Pause before something is tried again that cannot be done at the moment.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Why the members are not changed.
#[derive(Debug, thiserror::Error)]
pub enum ReconfigureError {
    /// It could not be proposed, or was refused when it was applied.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It would put the cluster at risk, as this member sees it.
    #[error(transparent)]
    Risky(#[from] TooRisky),
    /// The member that should vote has too little of the log.
    #[error("promote the member: {0} is not in sync with the leader")]
    NotReady(MemberId),
    /// This member is too far behind to tell.
    #[error("promote the member: waiting for the applied index took too long")]
    TimeoutWaitApplied,
}

impl From<ChangeError> for ReconfigureError {
    fn from(error: ChangeError) -> Self {
        Self::Request(ApplyError::from(error).into())
    }
}

/// How far the leader knows a member's log to go.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// The last entry that the member has for certain.
    matched: u64,
    /// Whether the member is heard from.
    is_active: bool,
}

impl Engine {
    /// Whether this member leads and sends another one a whole state, without which that one can acknowledge nothing.
    fn awaits_state(&self, id: MemberId) -> bool {
        self.0.node.progress().iter().any(|progress| progress.id == id && progress.needs_snapshot)
    }

    /// Where a member stands, as this one sees it while it leads; `None` if it is no member.
    fn standing(&self, id: MemberId) -> Option<Standing> {
        self.membership().member(id)?;
        let progress = self.0.node.progress();
        let known = progress.iter().find(|progress| progress.id == id);
        let is_own = id == self.member_id();
        Some(Standing {
            // What the core tells is as old as its last tick.
            matched: match known {
                Some(progress) => progress.matched,
                None if is_own => self.status().committed,
                None => 0,
            },
            is_active: is_own
                || (known.is_some_and(|progress| progress.is_recently_active)
                    && self.peers().active_since(id).is_some()),
        })
    }
}
