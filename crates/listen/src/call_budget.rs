//! A turn's worth of calls.
//!
//! One read may bring the heads of hundreds of calls, and each becomes a task that waits in the runtime's queue. A client
//! that begins or gives up many thousands at once would put as many in front of what other clients request. So a
//! connection takes some, and then waits until every other task has had its turn. It takes few while many calls of
//! other connections have not run yet.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

/// Calls that a connection may begin and end in one turn: more than a client usually has under way, so that their
/// frames go together.
const CALLS_PER_TURN: usize = 128;
/// The same while the backlog is long.
const CALLS_PER_TURN_BEHIND_OTHERS: usize = 8;
/// Calls in the backlog from which on it is long: some milliseconds of work.
const LONG_BACKLOG: usize = 1024;

/// The calls of a port that have begun and not run yet. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// Counts a call until the returned value is dropped.
    pub(crate) fn enter(&self) -> Waiting {
        self.0.fetch_add(1, Ordering::Relaxed);
        Waiting(Arc::clone(&self.0))
    }

    fn is_long(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= LONG_BACKLOG
    }
}

/// A call in the backlog.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection has of a turn's worth of calls. Clones share it; they belong to one task.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallBudget {
    backlog: Backlog,
    turn: Arc<Turn>,
}

#[derive(Debug, Default)]
struct Turn {
    n_taken: AtomicUsize,
    /// Whether there may be more calls, which have to wait.
    is_spent: AtomicBool,
}

impl CallBudget {
    /// For a connection of the port with this backlog.
    pub(crate) fn new(backlog: Backlog) -> Self {
        Self { backlog, turn: Arc::default() }
    }

    /// Takes a call of it.
    pub(crate) fn take(&self) {
        self.turn.n_taken.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether further calls, if there are any, have to wait for the next turn.
    pub(crate) fn is_spent(&self) -> bool {
        let max = if self.backlog.is_long() { CALLS_PER_TURN_BEHIND_OTHERS } else { CALLS_PER_TURN };
        let is_spent = self.turn.n_taken.load(Ordering::Relaxed) >= max;
        self.turn.is_spent.fetch_or(is_spent, Ordering::Relaxed);
        is_spent
    }

    /// Begins the next turn. Returns whether calls may have been left to it.
    pub(crate) fn renew(&self) -> bool {
        self.turn.n_taken.store(0, Ordering::Relaxed);
        self.turn.is_spent.swap(false, Ordering::Relaxed)
    }
}

/// Waits until every task that is ready has run, those of the calls just begun among them.
///
/// Tokio's own `yield_now` may be over before: when the runtime looks at its sockets, which it does every few tasks, it
/// puts tasks that have yielded in front of all others. A connection would begin calls faster than they run.
pub(crate) async fn after_all_others() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        // A task that is woken while it runs goes to the end of the queue.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
