//! A watcher, over all the streams that it takes.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::WatchResponse;
use ferretcd_base::KeyRange;
use ferretcd_testkit::Random;
use ferretcd_testkit::watch_history::{Event, History, Seen, WatchRequest};
use ferretcd_watch::{Delivery, WatchSpec};
use prost::Message as _;

/// An event of a watcher.
#[derive(Debug)]
pub(crate) enum WatcherStep {
    /// Looks for a member and watches there.
    Connect,
    /// Receives deliveries.
    Received(Vec<Delivery>),
}

/// A watch and all that it has received.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) history: History,
    /// The revision to start from after a loss; 0 while nothing is known.
    next: i64,
    /// Raised with each stream.
    pub(crate) epoch: u64,
    /// Where it watches: a member, and the how-manieth start of it.
    pub(crate) at: Option<(u64, u64)>,
}

impl Watcher {
    pub(crate) fn new(random: &mut Random) -> Self {
        let (key, range_end) = match random.below(3) {
            0 => (Bytes::from(format!("k{:02}", random.below(12))), Bytes::new()),
            1 => (Bytes::from_static(b"k0"), Bytes::from_static(b"k1")),
            _ => (Bytes::from_static(b"k"), Bytes::from_static(b"l")),
        };
        let start = if random.chance(50) { 0 } else { 1 + random.below(30) as i64 };
        let request = WatchRequest {
            key,
            range_end,
            start,
            no_put: random.chance(10),
            no_delete: random.chance(10),
            prev_kv: random.chance(50),
        };
        let history = History { request, floor: 0, headers_are_bookmarks: true, seen: Vec::new() };
        Self { history, next: start, epoch: 0, at: None }
    }

    /// The watch to create at a member. `too_early` breaks the rule that nothing is received twice.
    pub(crate) fn spec(&self, too_early: bool) -> WatchSpec {
        let WatchRequest { key, range_end, no_put, no_delete, prev_kv, .. } = self.history.request.clone();
        let start = if too_early && self.next > 1 { self.next - 1 } else { self.next };
        let range = KeyRange::from_wire(key, range_end);
        WatchSpec { start, no_put, no_delete, prev_kv, ..WatchSpec::new(range) }
    }

    /// It was requested from a member that has this revision.
    pub(crate) fn requested_at(&mut self, member: (u64, u64), revision: i64) {
        self.at = Some(member);
        if self.next == 0 {
            self.history.floor = revision;
        }
    }

    /// The stream is gone.
    pub(crate) fn lose(&mut self) {
        self.at = None;
        self.epoch += 1;
        self.history.seen.push(Seen::Lost);
    }

    /// Takes deliveries. Returns whether the watch must be created again.
    pub(crate) fn take(&mut self, deliveries: Vec<Delivery>) -> bool {
        let mut is_over = false;
        for delivery in deliveries {
            let seen = match delivery {
                Delivery::Created { revision, .. } => {
                    if self.next == 0 {
                        self.next = revision + 1;
                    }
                    Seen::Created(revision)
                }
                Delivery::Events(batch) => {
                    self.next = batch.revision + 1;
                    let response = WatchResponse::decode(batch.events.as_bytes().clone());
                    let events = response.expect("the hub encodes events").events;
                    let events = events.into_iter().map(Event::from).collect();
                    Seen::Events { header: batch.revision, events, fragment: false }
                }
                Delivery::Progress { revision, .. } => {
                    self.next = self.next.max(revision + 1);
                    Seen::Progress(revision)
                }
                Delivery::Compacted { compacted, .. } => {
                    self.next = compacted;
                    is_over = true;
                    Seen::Compacted(compacted)
                }
                Delivery::Rejected { .. }
                | Delivery::Canceled { .. }
                | Delivery::Revoked { .. }
                | Delivery::Ended(_) => continue,
            };
            self.history.seen.push(seen);
        }
        if is_over {
            self.at = None;
            self.epoch += 1;
        }
        is_over
    }
}
