//! The Watch service.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::Cluster;

use super::super::column::Recorder;
use crate::support::requests::{OPEN, watch};

pub(super) async fn record<C: Cluster>(to: &mut Recorder<'_, C>) {
    to.watch("Watch of a key", watch("a", "")).await;
    to.watch("Watch of an interval", watch("a", "c")).await;
    to.watch("Watch up to the end of the right", watch("a", "n")).await;
    to.watch("Watch beyond the right", watch("a", "n\0")).await;
    to.watch("Watch from a key on", watch("a", OPEN)).await;
    to.watch("Watch of everything", watch(OPEN, OPEN)).await;
    to.watch("Watch of another's key", watch("secret", "")).await;
    to.watch("Watch with prev_kv", pb::WatchCreateRequest { prev_kv: true, ..watch("a", "") }).await;
    to.watch(
        "Watch from a future revision",
        pb::WatchCreateRequest { start_revision: 1 << 40, ..watch("a", "") },
    )
    .await;
    to.watch("Watch without a key", watch("", "")).await;
    to.watch("Watch of an inverted interval", watch("c", "a")).await;
    to.watch("Watch of an inverted interval of another's", watch("secret", "s")).await;
    to.watch(
        "Watch from a negative revision",
        pb::WatchCreateRequest { start_revision: -1, ..watch("a", "") },
    )
    .await;
}
