//! The threads of a member.

use std::sync::Arc;
use std::thread::JoinHandle;

use ferretcd_raft_node::Node;

use crate::apply::inbox::Inbox;
use crate::flusher::Flusher;
use crate::watch::threads::WatchThreads;

/// Their handles.
pub(crate) struct Threads {
    pub(crate) node: Node,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) apply: JoinHandle<()>,
    pub(crate) watches: WatchThreads,
    pub(crate) flusher: Flusher,
    pub(crate) flush: JoinHandle<()>,
}

impl Threads {
    /// Ends them in the order in which data pass through them, so that each finds everything of the one before.
    pub(crate) fn join(self) {
        self.node.stop();
        self.inbox.stop();
        let applied = self.apply.join();
        let watched = self.watches.join();
        self.flusher.stop();
        let flushed = self.flush.join();
        applied.and(watched).and(flushed).expect("the member's threads do not panic");
    }
}
