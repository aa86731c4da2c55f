//! What the rest of the member knows of its watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ferretcd_watch::{Counts, End};
use prometheus::IntCounter;

use super::inbox::Inbox;
use super::link::Link;

/// The ends of the thread `watch`: its inbox, and its counts.
#[derive(Debug)]
pub(crate) struct Watching {
    pub(super) inbox: Inbox,
    pub(super) tally: Tally,
}

/// Counts of streams, watchers and events. The thread `watch` sets the first four after each turn, sessions add to the
/// others.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) streams: AtomicUsize,
    pub(super) watchers: AtomicUsize,
    pub(super) unsynced: AtomicUsize,
    /// Events put into queues so far.
    pub(super) delivered: AtomicU64,
    /// Events taken out by their readers so far.
    pub(super) taken: IntCounter,
    /// Events that were still queued when their stream closed.
    pub(super) dropped: AtomicU64,
}

impl Watching {
    /// Counts events that their readers have taken in `taken`.
    pub(crate) fn new(taken: IntCounter) -> Self {
        let tally = Tally {
            streams: AtomicUsize::new(0),
            watchers: AtomicUsize::new(0),
            unsynced: AtomicUsize::new(0),
            delivered: AtomicU64::new(0),
            taken,
            dropped: AtomicU64::new(0),
        };
        Self { inbox: Inbox::default(), tally }
    }

    /// The store has new revisions, and readers see them. Costs next to nothing without streams, and while the
    /// thread is awake.
    pub(crate) fn revision_moved(&self) {
        self.inbox.revision_moved();
    }

    /// Ends all streams, and those that are opened from now on.
    pub(crate) fn end(&self) {
        self.inbox.end();
    }

    /// Users, roles or rights have changed: watches that rely on a right which is gone end.
    pub(crate) fn rights_changed(&self) {
        self.inbox.rights_changed();
    }

    /// Ends the streams that require a leader.
    pub(crate) fn leader_lost(&self) {
        self.inbox.leader_lost();
    }

    /// Streams and watches as of the last turn of the thread.
    pub(crate) fn counts(&self) -> Counts {
        let Tally { streams, watchers, unsynced, .. } = &self.tally;
        let get = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        Counts { streams: get(streams), watchers: get(watchers), unsynced: get(unsynced) }
    }

    /// Events that wait for their readers.
    pub(crate) fn pending_events(&self) -> u64 {
        let Tally { delivered, taken, dropped, .. } = &self.tally;
        // The thread publishes at the end of its turn, so readers can be ahead of it.
        let gone = taken.get() + dropped.load(Ordering::Relaxed);
        delivered.load(Ordering::Relaxed).saturating_sub(gone)
    }

    /// Has the thread look at a link. When the thread has ended already, the link's stream ends here.
    pub(super) fn note(&self, link: &Arc<Link>) {
        if !self.inbox.note(link) {
            link.end(End::Stopped);
        }
    }
}
