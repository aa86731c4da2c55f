//! The facet for watches.

use std::sync::Arc;

use super::session::WatchSession;
use super::watching::Watching;
use crate::auth::gate::Gate;
use crate::parts::Parts;
use crate::{Caller, MemberInfo};

/// Watches of the key space.
#[derive(Clone, Debug)]
pub struct Watches {
    watching: Arc<Watching>,
    gate: Gate,
    member: MemberInfo,
}

impl Watches {
    pub(crate) fn new(parts: &Parts) -> Self {
        let (watching, gate) = (Arc::clone(&parts.channels.watching), parts.gate.clone());
        Self { watching, gate, member: parts.member.clone() }
    }

    /// Opens a stream of watches. Cheap; nothing is waited for. A stream that `requires_leader` ends when the
    /// member has had none for three election timeouts.
    pub fn open(&self, caller: &Caller, requires_leader: bool) -> WatchSession {
        WatchSession::open(&self.watching, self.gate.clone(), caller.clone(), requires_leader)
    }

    /// Waits until this member knows the caller's token, if the token may come from an entry that this member has not
    /// applied. Ready at once for all other callers.
    pub async fn settle(&self, caller: &Caller) {
        // Whether the token is valid is found out with each creation.
        let _ = self.gate.admit(caller).await;
    }

    /// Ends all streams with [`End::Stopped`](ferretcd_watch::End::Stopped); streams that are opened from now on
    /// end at once. For a server that drains: streams would go on for ever.
    pub fn end_all(&self) {
        self.watching.end();
    }

    /// What the headers of responses say about this member.
    pub fn member(&self) -> &MemberInfo {
        &self.member
    }

    pub(crate) fn watching(&self) -> &Watching {
        &self.watching
    }
}
