//! Watches that go on through whatever happens.

use std::time::Duration;

use ferretcd_api_proto::etcdserverpb as pb;
use tokio::time::timeout;
use tonic::metadata::MetadataMap;

use super::{Change, Workload};
use crate::{Clients, WatchStream};

/// A member that has nothing to tell for longer is left for another one.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Follows all changes, now through one member and now through another, from behind the last change that it knows.
pub(super) struct Watcher {
    members: Vec<Clients>,
    next: usize,
    told: Vec<(i64, Change)>,
}

impl Watcher {
    pub(super) fn new(members: Vec<Clients>, first: usize) -> Self {
        Self { members, next: first, told: Vec::new() }
    }

    /// Follows until it is over, and returns what it was told.
    pub(super) async fn run(mut self, over: impl Future<Output = ()>) -> Vec<(i64, Change)> {
        let follow = async {
            loop {
                self.next = (self.next + 1) % self.members.len();
                self.follow().await;
                // Members that can't be reached say so at once.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = over => (),
            () = follow => (),
        }
        self.told
    }

    /// Follows through one member until that ends the call or falls silent.
    async fn follow(&mut self) {
        let mut metadata = MetadataMap::new();
        metadata.insert("hasleader", "true".parse().expect("a word is a value"));
        let mut stream = WatchStream::open_with(&self.members[self.next], metadata);
        let create = pb::WatchCreateRequest {
            key: Workload::PREFIX.into(),
            range_end: format!("{}\u{7f}", Workload::PREFIX).into(),
            start_revision: self.told.last().map_or(1, |(revision, _)| revision + 1),
            ..Default::default()
        };
        stream.create(create).await;
        while let Ok(Ok(Some(response))) = timeout(PATIENCE, stream.next_at_all()).await {
            if response.canceled {
                return;
            }
            self.told.extend(response.events.iter().map(Change::of));
        }
    }
}
