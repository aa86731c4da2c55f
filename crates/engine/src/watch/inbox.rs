//! What waits for the thread `watch`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use ferretcd_watch::HistoryResponse;
use parking_lot::{Condvar, Mutex};

use super::link::Link;

/// Every cause of work of the thread, apart from a revision that moved: it looks for that at every turn.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Streams with commands; new and closed ones are among them. At most one entry for each.
    pub(super) noted: Vec<Arc<Link>>,
    /// The response to the history request that is under way, and how long it took.
    pub(super) history: Option<(HistoryResponse, Duration)>,
    /// Users, roles or rights have changed.
    pub(super) are_rights_new: bool,
    /// Streams that require a leader must end.
    pub(super) is_leaderless: bool,
    /// All streams must end, and from now on new ones at once.
    pub(super) is_ended: bool,
    /// Nothing comes after this.
    pub(super) stop: bool,
}

/// How long the thread waits for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It has work already.
    No,
    /// It will have some.
    Until(Instant),
    Forever,
}

/// Filled by sessions, the apply thread, the thread `watch-history` and the controllers; emptied by the thread
/// `watch`.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Whether the thread must be woken for moved revisions.
    listens: AtomicBool,
    /// Whether the store has moved since the thread last looked.
    has_moved: AtomicBool,
    /// Whether the thread sleeps, or is about to.
    is_asleep: AtomicBool,
    work: Mutex<Work>,
    wake: Condvar,
}

impl Inbox {
    /// Sets whether moved revisions wake the thread from now on. If so the thread has to look at the revision once more
    /// after this call, because the revision may have moved before.
    pub(super) fn listen(&self, listens: bool) {
        self.listens.store(listens, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Called after readers see the new revision.
    pub(super) fn revision_moved(&self) {
        // The other half of the fences in `listen` and `take`: either this sees that the thread listens, or the
        // thread sees the revision.
        fence(Ordering::SeqCst);
        if !self.listens.load(Ordering::SeqCst) || self.has_moved.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.is_asleep.load(Ordering::SeqCst) {
            // A thread that is about to sleep holds the lock until it sleeps.
            drop(self.work.lock());
            self.wake.notify_one();
        }
    }

    /// Has the thread look at a link. Returns whether there still is a thread.
    #[must_use]
    pub(super) fn note(&self, link: &Arc<Link>) -> bool {
        let mut work = self.work.lock();
        if work.stop {
            return false;
        }
        work.noted.push(Arc::clone(link));
        self.wake.notify_one();
        true
    }

    pub(super) fn history(&self, response: HistoryResponse, took: Duration) {
        self.add(|work| work.history = Some((response, took)));
    }

    pub(super) fn rights_changed(&self) {
        self.add(|work| work.are_rights_new = true);
    }

    pub(super) fn leader_lost(&self) {
        self.add(|work| work.is_leaderless = true);
    }

    pub(super) fn end(&self) {
        self.add(|work| work.is_ended = true);
    }

    /// The thread ends after its next turn; it does not see links that are noted later.
    pub(super) fn stop(&self) {
        self.add(|work| {
            work.is_ended = true;
            work.stop = true;
        });
    }

    fn add(&self, change: impl FnOnce(&mut Work)) {
        change(&mut self.work.lock());
        self.wake.notify_one();
    }

    /// Takes everything. Before that, waits as `wait` says for something to come.
    pub(super) fn take(&self, wait: Wait) -> Work {
        let mut work = self.work.lock();
        while wait != Wait::No && work.is_empty() {
            self.is_asleep.store(true, Ordering::SeqCst);
            if self.has_moved.load(Ordering::SeqCst) {
                break;
            }
            match wait {
                Wait::Until(end) if self.wake.wait_until(&mut work, end).timed_out() => break,
                Wait::Until(_) => {}
                Wait::No | Wait::Forever => self.wake.wait(&mut work),
            }
        }
        self.is_asleep.store(false, Ordering::SeqCst);
        self.has_moved.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let taken = std::mem::take(&mut *work);
        work.stop = taken.stop;
        taken
    }
}

impl Work {
    fn is_empty(&self) -> bool {
        let must_end = self.is_leaderless || self.is_ended || self.stop;
        self.noted.is_empty() && self.history.is_none() && !self.are_rights_new && !must_end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_work_is_taken_together() {
        let inbox = Inbox::default();
        let links = [Arc::new(Link::new(false)), Arc::new(Link::new(true))];
        for link in &links {
            assert!(inbox.note(link));
        }
        inbox.leader_lost();
        let work = inbox.take(Wait::Forever);
        assert_eq!(work.noted.iter().map(|link| link.requires_leader).collect::<Vec<_>>(), [false, true]);
        assert_eq!((work.is_leaderless, work.is_ended, work.stop), (true, false, false));
        assert!(inbox.take(Wait::No).is_empty());
    }

    #[test]
    fn moved_revision_wakes_only_a_listening_thread() {
        let inbox = Inbox::default();
        inbox.revision_moved();
        assert!(!inbox.has_moved.load(Ordering::Relaxed));
        inbox.listen(true);
        inbox.revision_moved();
        assert!(inbox.take(Wait::Forever).is_empty(), "it does not sleep");
        assert!(!inbox.has_moved.load(Ordering::Relaxed));
    }

    #[test]
    fn links_noted_after_the_stop_are_rejected() {
        let inbox = Inbox::default();
        inbox.end();
        let work = inbox.take(Wait::Forever);
        assert!(work.is_ended && !work.stop);
        assert!(inbox.note(&Arc::new(Link::new(false))));
        inbox.stop();
        let work = inbox.take(Wait::Forever);
        assert!(work.noted.len() == 1 && work.is_ended && work.stop);
        assert!(!inbox.note(&Arc::new(Link::new(false))));
    }
}
