//! Watches that go on through all faults.

use std::time::Duration;

use ferretcd_testkit::watch_history::{History, Seen, WatchRequest};
use tokio::time::timeout;
use tonic::metadata::MetadataMap;

use super::Workload;
use crate::{Clients, WatchStream};

/// The watcher leaves a member that sends nothing for longer.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Follows all changes, now through one member and now through another, from behind the last change that it knows.
pub(super) struct Watcher {
    members: Vec<Clients>,
    next: usize,
    /// The revision to go on from.
    position: i64,
    history: History,
}

impl Watcher {
    pub(super) fn new(members: Vec<Clients>, first: usize) -> Self {
        let request = WatchRequest {
            key: Workload::PREFIX.into(),
            range_end: format!("{}\u{7f}", Workload::PREFIX).into(),
            start: 1,
            ..WatchRequest::default()
        };
        let history = History { request, floor: 0, headers_are_bookmarks: false, seen: Vec::new() };
        Self { members, next: first, position: 1, history }
    }

    /// Follows until it is over, and returns what it has received.
    pub(super) async fn run(mut self, over: impl Future<Output = ()>) -> History {
        let follow = async {
            loop {
                self.next = (self.next + 1) % self.members.len();
                self.follow().await;
                self.history.seen.push(Seen::Lost);
                // Members that can't be reached err at once.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = over => (),
            () = follow => (),
        }
        self.history
    }

    /// Follows through one member until the stream ends or falls silent.
    async fn follow(&mut self) {
        let mut metadata = MetadataMap::new();
        metadata.insert("hasleader", "true".parse().expect("a word is a value"));
        let mut stream = WatchStream::open_with(&self.members[self.next], metadata);
        stream.create(self.history.request.create_request(0, self.position)).await;
        while let Ok(Ok(Some(response))) = timeout(PATIENCE, stream.next_at_all()).await {
            if response.canceled {
                return;
            }
            let header = response.revision();
            let Some(last) = response.events.last() else { continue };
            self.position = last.row.mod_revision + 1;
            let (events, fragment) = (response.events, response.fragment);
            self.history.seen.push(Seen::Events { header, events, fragment });
        }
    }
}
