//! The Lease service.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::Cluster;

use super::super::column::Recorder;
use super::super::world::{OF_A_KEY, OF_A_SECRET, OF_NO_KEY};
use crate::support::requests::{lease, revoke, time_to_live};

const UNKNOWN: i64 = 404;

pub(super) async fn record<C: Cluster>(to: &mut Recorder<'_, C>) {
    let id = to.world.free_lease();
    to.call("LeaseGrant", lease(id)).await;
    to.call("LeaseGrant of a taken id", lease(OF_NO_KEY)).await;
    to.call("LeaseGrant for too long", pb::LeaseGrantRequest { id: 0, ttl: 9_000_000_001 }).await;
    let id = to.world.fresh_lease(None).await;
    to.call("LeaseRevoke without keys", revoke(id)).await;
    let id = to.world.fresh_lease(Some("g")).await;
    to.call("LeaseRevoke with a key", revoke(id)).await;
    let id = to.world.fresh_lease(Some("secret/g")).await;
    to.call("LeaseRevoke with another's key", revoke(id)).await;
    to.call("LeaseRevoke of an unknown lease", revoke(UNKNOWN)).await;
    for (id, what) in [
        (OF_NO_KEY, "without keys"),
        (OF_A_KEY, "with a key"),
        (OF_A_SECRET, "with another's key"),
        (UNKNOWN, "of an unknown lease"),
    ] {
        to.keep_alive(&format!("LeaseKeepAlive {what}"), id).await;
        to.call(&format!("LeaseTimeToLive {what}"), time_to_live(id, false)).await;
        to.call(&format!("LeaseTimeToLive {what}, showing keys"), time_to_live(id, true)).await;
    }
    to.call("LeaseLeases", pb::LeaseLeasesRequest {}).await;
}
