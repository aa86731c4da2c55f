//! The changes that a cluster keeps.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_testkit::history::Truth;

use crate::{Clients, WatchStream};

/// Reads all changes by a watch through one member, up to what a linearizable read shows.
///
/// # Panics
///
/// When the watch ends, or one revision has several changes.
pub async fn read_truth(clients: &Clients, prefix: &str) -> Truth {
    let range = pb::RangeRequest { key: prefix.to_owned().into(), ..Default::default() };
    let response = clients.kv.clone().range(range).await.expect("a healthy member serves reads");
    let revision = response.into_inner().header.expect("every response has a header").revision;
    let create = pb::WatchCreateRequest {
        key: prefix.to_owned().into(),
        range_end: format!("{prefix}\u{7f}").into(),
        start_revision: 1,
        ..Default::default()
    };
    let mut stream = WatchStream::open(clients);
    stream.created(create).await;
    let mut truth = Truth::default();
    loop {
        // Progress comes behind everything up to its revision.
        stream.request_progress().await;
        let response = stream.response().await;
        assert!(!response.canceled, "the watch was cancelled: {response:?}");
        let is_progress = response.events.is_empty() && response.revision() >= revision;
        response.events.into_iter().for_each(|event| truth.add(event));
        if is_progress {
            return truth;
        }
    }
}
