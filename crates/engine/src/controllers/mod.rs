//! Background work of a member: each controller is a task that runs until the member stops.

mod auto_compaction;
mod cluster_version;
pub(crate) mod corruption;
mod downgrade_end;
mod leader_loss;
mod lease_expiry;
mod member_versions;
mod promotion;
mod quota_alarm;
mod refetch;
mod submission;
pub(crate) mod timeouts;

use std::pin::Pin;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use self::cluster_version::ClusterVersion;
use self::corruption::CorruptionCheck;
use self::downgrade_end::DowngradeEnd;
use self::lease_expiry::LeaseExpiry;
use self::promotion::Promotion;
use self::refetch::Refetch;
use self::timeouts::Timeouts;
use crate::facets::Facets;
use crate::parts::Parts;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Every controller, as the task that it is.
const CONTROLLERS: &[fn(Facets, &Parts) -> Task] = &[
    |_, parts| Box::pin(submission::run(parts.node.clone(), parts.channels.clone())),
    |_, parts| Box::pin(Timeouts::new(parts).run()),
    |_, parts| Box::pin(LeaseExpiry::new(parts).run()),
    |_, parts| Box::pin(ClusterVersion::new(parts).run()),
    |Facets { maintenance, member, .. }, parts| Box::pin(DowngradeEnd::new(parts, maintenance, member).run()),
    |Facets { cluster, member, .. }, _| Box::pin(Promotion { cluster, member }.run()),
    |Facets { maintenance, member, .. }, _| Box::pin(quota_alarm::run(maintenance, member)),
    |Facets { kv, member, .. }, _| Box::pin(auto_compaction::run(kv, member)),
    |facets, _| Box::pin(CorruptionCheck::new(&facets).run_periodically()),
    |facets, _| Box::pin(CorruptionCheck::new(&facets).run_after_compactions()),
    |facets, parts| Box::pin(Refetch::new(facets, Arc::clone(&parts.channels.inbox)).run()),
    |Facets { watches, member, .. }, _| Box::pin(leader_loss::run(watches, member)),
];

/// Starts all controllers on the runtime.
pub(crate) fn start(facets: &Facets, parts: &Parts, runtime: &Handle) -> Vec<JoinHandle<()>> {
    CONTROLLERS.iter().map(|controller| runtime.spawn(controller(facets.clone(), parts))).collect()
}
