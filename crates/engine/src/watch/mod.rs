//! Watches: the hub on a thread of its own, and the streams that talk to it.
//!
//! ```text
//!  WatchSession ──commands──► Link ──► ┌────────────────┐ ◄── revision moved ── thread `apply`
//!  (rim)        ◄─deliveries─ Link ◄── │ thread `watch` │
//!                                      │ ferretcd_watch::Hub     │ ──► thread `watch-history`
//!                                      └────────────────┘ ◄── stretches of old history
//! ```
//!
//! The writer of the store only says that the revision has moved; the hub fetches what is new from the recent
//! rows. So however many watches there are, and however slow their readers, writes don't wait for them.

mod inbox;
mod leader;
mod link;
mod pace;
mod session;
mod thread;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Instant;

use ferretcd_mvcc::Reader;
use ferretcd_watch::{Counts, End, HistoryRequest};
use prometheus::IntCounter;

use self::inbox::Inbox;
use self::link::Link;
use self::thread::WatchThread;
use crate::replies::Dispatcher;
use crate::shared::Shared;
use crate::start::spawn;

pub(crate) use self::leader::LeaderCheck;
pub use self::session::WatchSession;

/// What the rest of the member knows of its watches.
#[derive(Debug)]
pub(crate) struct Watching {
    inbox: Inbox,
    tally: Tally,
}

/// How much there is of what. The thread `watch` sets the first four after each turn, sessions add to the
/// others.
#[derive(Debug)]
struct Tally {
    streams: AtomicUsize,
    watchers: AtomicUsize,
    unsynced: AtomicUsize,
    /// Events put into queues so far.
    delivered: AtomicU64,
    /// Events taken out by their readers so far.
    taken: IntCounter,
    /// Events that no reader came for.
    dropped: AtomicU64,
}

impl Watching {
    /// Counts events that are handed to their readers in `taken`.
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

    /// Lets the thread look at a link; one that comes too late is ended here.
    fn note(&self, link: &Arc<Link>) {
        if !self.inbox.note(link) {
            link.end(End::Stopped);
        }
    }
}

/// The threads `watch` and `watch-history`.
pub(crate) struct WatchThreads {
    watching: Arc<Watching>,
    watch: JoinHandle<()>,
    history: JoinHandle<()>,
}

impl WatchThreads {
    pub(crate) fn start(
        watching: &Arc<Watching>,
        reader: Reader,
        dispatcher: Dispatcher,
        shared: Arc<Shared>,
    ) -> Self {
        let (requests, wanted) = sync_channel::<HistoryRequest>(1);
        let history = {
            let (watching, reader) = (Arc::clone(watching), reader.clone());
            spawn("watch-history", move || {
                for request in wanted {
                    let begun = Instant::now();
                    watching.inbox.answer(request.read(&reader), begun.elapsed());
                }
            })
        };
        let watch = {
            let watching = Arc::clone(watching);
            spawn("watch", move || WatchThread::new(watching, reader, requests, dispatcher, shared).run())
        };
        Self { watching: Arc::clone(watching), watch, history }
    }

    /// Ends all streams and the threads.
    pub(crate) fn join(self) -> std::thread::Result<()> {
        self.watching.inbox.stop();
        // The other one ends when nobody can ask it any more.
        self.watch.join().and(self.history.join())
    }
}
