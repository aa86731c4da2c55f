//! The facet for watches.

use std::sync::Arc;

use super::session::WatchSession;
use super::watching::Watching;
use crate::parts::Parts;
use crate::{Caller, MemberInfo};

/// Watches of the key space.
#[derive(Clone, Debug)]
pub struct Watches {
    watching: Arc<Watching>,
    member: MemberInfo,
}

impl Watches {
    pub(crate) fn new(parts: &Parts) -> Self {
        Self { watching: Arc::clone(&parts.channels.watching), member: parts.member.clone() }
    }

    /// Opens a stream of watches. Cheap; nothing is waited for. A stream that `requires_leader` ends when the
    /// member has had none for three election timeouts.
    pub fn open(&self, _caller: &Caller, requires_leader: bool) -> WatchSession {
        WatchSession::open(&self.watching, requires_leader)
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
