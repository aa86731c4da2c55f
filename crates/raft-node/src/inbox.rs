//! The driver's queue: one lane per kind of event, under one lock.
//!
//! The driver swaps out everything that waits at once, so a wake-up and a lock are shared by all requests that
//! came meanwhile. Lanes rather than one channel, because the driver must be able to leave proposals where they
//! are while the disk is behind, and still receive messages; the bound of their lane then rejects further ones.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ferretcd_base::MemberId;
use parking_lot::{Condvar, Mutex};

use crate::log_thread::{Checkpoint, Done};
use crate::{ConfChange, Error, Message, Progress, Proposal, ReadToken, Rejected};

/// No applied index is awaited.
const NOTHING: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Inbox {
    /// Pending for a push or a swap.
    lanes: Mutex<Lanes>,
    wake: Condvar,
    /// How much may wait in each lane of requests.
    bound: usize,
    /// The last index that the member reported. Read by the driver whenever it is awake.
    applied: AtomicU64,
    /// The applied index for which the driver wants to be woken.
    awaited: AtomicU64,
}

/// Everything that waits. The driver takes all of it, or all but the proposals.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) conf_changes: Vec<(u64, ConfChange)>,
    pub(crate) messages: Vec<Message>,
    pub(crate) reads: Vec<ReadToken>,
    pub(crate) progress: Vec<ProgressReply>,
    pub(crate) transfer: Option<MemberId>,
    /// Decisions about configuration changes; one change is undecided at a time.
    pub(crate) configured: Vec<(u64, Option<ConfChange>)>,
    pub(crate) installed: Option<u64>,
    pub(crate) reports: Vec<Report>,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) done: Vec<Done>,
    pub(crate) failed: Option<Error>,
    pub(crate) stop: bool,
    /// The awaited index is applied.
    nudged: bool,
    /// Requests are rejected from now on.
    closed: bool,
}

/// Where the progress of the members goes that a handle has requested. Dropped without a call if the node ends.
pub(crate) struct ProgressReply(pub(crate) Box<dyn FnOnce(Vec<Progress>) + Send>);

impl fmt::Debug for ProgressReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressReply").finish_non_exhaustive()
    }
}

/// The result of sending something to another member.
#[derive(Debug)]
pub(crate) enum Report {
    Unreachable(MemberId),
    Snapshot { to: MemberId, ok: bool },
}

impl Inbox {
    pub(crate) fn new(bound: usize, applied: u64) -> Self {
        Self {
            lanes: Mutex::default(),
            wake: Condvar::new(),
            bound,
            applied: AtomicU64::new(applied),
            awaited: AtomicU64::new(NOTHING),
        }
    }

    /// Adds a request to the lane that `lane` picks.
    pub(crate) fn request<T>(
        &self,
        lane: impl FnOnce(&mut Lanes) -> &mut Vec<T>,
        request: T,
    ) -> Result<(), Rejected> {
        self.put(|lanes| {
            if lanes.closed {
                return Err(Rejected::Stopped);
            }
            let lane = lane(lanes);
            if lane.len() >= self.bound {
                return Err(Rejected::Full);
            }
            lane.push(request);
            Ok(())
        })
    }

    /// Adds as many of `requests` as there is room for to the lane that `lane` picks, and leaves the rest.
    pub(crate) fn request_all<T>(
        &self,
        lane: impl FnOnce(&mut Lanes) -> &mut Vec<T>,
        requests: &mut Vec<T>,
    ) -> Result<(), Rejected> {
        self.put(|lanes| {
            if lanes.closed {
                return Err(Rejected::Stopped);
            }
            let lane = lane(lanes);
            let room = self.bound.saturating_sub(lane.len()).min(requests.len());
            lane.extend(requests.drain(..room));
            if requests.is_empty() { Ok(()) } else { Err(Rejected::Full) }
        })
    }

    /// Changes the lanes and wakes the driver.
    pub(crate) fn put<T>(&self, change: impl FnOnce(&mut Lanes) -> T) -> T {
        let result = change(&mut self.lanes.lock());
        self.wake.notify_one();
        result
    }

    /// Raises the applied index; wakes the driver only if it waits for this.
    pub(crate) fn set_applied(&self, index: u64) {
        self.applied.fetch_max(index, Ordering::SeqCst);
        if index >= self.awaited.load(Ordering::SeqCst) {
            self.put(|lanes| lanes.nudged = true);
        }
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::SeqCst)
    }

    /// Lets the driver be woken when this index is applied. The caller looks at [`Self::applied`] afterwards: it may be
    /// reached already.
    pub(crate) fn await_applied(&self, index: Option<u64>) {
        self.awaited.store(index.unwrap_or(NOTHING), Ordering::SeqCst);
    }

    /// Waits until there is something to take or until `deadline`. Leaves proposals unless
    /// `with_proposals`.
    pub(crate) fn take(&self, deadline: Instant, with_proposals: bool) -> Lanes {
        let mut lanes = self.lanes.lock();
        while !lanes.has_work(with_proposals) {
            if self.wake.wait_until(&mut lanes, deadline).timed_out() {
                break;
            }
        }
        let kept = if with_proposals { Vec::new() } else { std::mem::take(&mut lanes.proposals) };
        let rest = Lanes { proposals: kept, closed: lanes.closed, ..Lanes::default() };
        std::mem::replace(&mut *lanes, rest)
    }

    /// Rejects all further requests. Returns the tokens of the proposals and configuration changes that were accepted
    /// and not taken; reads and messages may be forgotten. The log thread can still report.
    pub(crate) fn close(&self) -> Vec<u64> {
        let mut lanes = self.lanes.lock();
        lanes.closed = true;
        lanes.reads.clear();
        lanes.messages.clear();
        lanes.reports.clear();
        lanes.progress.clear();
        let proposals = std::mem::take(&mut lanes.proposals);
        let conf_changes = std::mem::take(&mut lanes.conf_changes);
        let tokens = proposals.into_iter().map(|proposal| proposal.token);
        tokens.chain(conf_changes.into_iter().map(|(token, _)| token)).collect()
    }
}

impl Lanes {
    /// A later request replaces an earlier one that still waits: only one transfer can be under way.
    pub(crate) fn request_transfer(&mut self, to: MemberId) -> Result<(), Rejected> {
        if self.closed {
            return Err(Rejected::Stopped);
        }
        self.transfer = Some(to);
        Ok(())
    }

    fn has_work(&self, with_proposals: bool) -> bool {
        (with_proposals && !self.proposals.is_empty())
            || !self.done.is_empty()
            || !self.messages.is_empty()
            || !self.reads.is_empty()
            || !self.conf_changes.is_empty()
            || !self.progress.is_empty()
            || self.transfer.is_some()
            || !self.configured.is_empty()
            || self.installed.is_some()
            || !self.reports.is_empty()
            || self.checkpoint.is_some()
            || self.failed.is_some()
            || self.nudged
            || self.stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn propose(inbox: &Inbox, token: u64) -> Result<(), Rejected> {
        inbox.request(|lanes| &mut lanes.proposals, Proposal::new(token, "x"))
    }

    #[test]
    fn a_full_lane_rejects_and_an_emptied_one_accepts() {
        let inbox = Inbox::new(2, 0);
        assert_eq!([1, 2, 3].map(|token| propose(&inbox, token)), [Ok(()), Ok(()), Err(Rejected::Full)]);
        assert_eq!(inbox.take(Instant::now(), true).proposals.len(), 2);
        assert_eq!(propose(&inbox, 4), Ok(()));
    }

    #[test]
    fn of_many_requests_those_without_room_are_left() {
        let inbox = Inbox::new(3, 0);
        let mut proposals: Vec<_> = (1..=4).map(|token| Proposal::new(token, bytes::Bytes::new())).collect();
        assert_eq!(inbox.request_all(|lanes| &mut lanes.proposals, &mut proposals), Err(Rejected::Full));
        assert_eq!(proposals.iter().map(|proposal| proposal.token).collect::<Vec<_>>(), [4]);
        let taken = inbox.take(Instant::now(), true);
        assert_eq!(taken.proposals.len(), 3);
        assert_eq!(inbox.request_all(|lanes| &mut lanes.proposals, &mut proposals), Ok(()));
        assert!(proposals.is_empty());
    }

    #[test]
    fn proposals_stay_while_they_are_not_wanted() {
        let inbox = Inbox::new(2, 0);
        propose(&inbox, 1).unwrap();
        inbox.request(|lanes| &mut lanes.reads, ReadToken(1)).unwrap();
        let taken = inbox.take(Instant::now(), false);
        assert_eq!((taken.proposals.len(), taken.reads.len()), (0, 1));
        assert_eq!(inbox.take(Instant::now(), true).proposals.len(), 1);
    }

    #[test]
    fn a_closed_inbox_returns_what_waits_and_rejects_requests() {
        let inbox = Inbox::new(2, 0);
        propose(&inbox, 1).unwrap();
        assert_eq!(inbox.close(), [1]);
        assert_eq!(propose(&inbox, 2), Err(Rejected::Stopped));
    }

    #[test]
    fn only_an_awaited_applied_index_wakes() {
        let inbox = Inbox::new(2, 5);
        inbox.set_applied(6);
        assert!(!inbox.lanes.lock().has_work(true));
        inbox.await_applied(Some(8));
        inbox.set_applied(7);
        assert!(!inbox.lanes.lock().has_work(true));
        inbox.set_applied(9);
        inbox.set_applied(3);
        assert!(inbox.lanes.lock().has_work(true));
        assert_eq!(inbox.applied(), 9);
    }
}
