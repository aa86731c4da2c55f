//! The Maintenance service.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::alarm_request::AlarmAction;
use ferretcd_api_proto::etcdserverpb::downgrade_request::DowngradeAction;
use ferretcd_tests::Cluster;

use super::super::column::Recorder;

pub(super) async fn record<C: Cluster>(to: &mut Recorder<'_, C>) {
    let own = to.world.id;
    let alarm = |action: AlarmAction, member_id| pb::AlarmRequest {
        action: action.into(),
        member_id,
        alarm: pb::AlarmType::Nospace.into(),
    };
    to.call("Alarm GET", alarm(AlarmAction::Get, 0)).await;
    to.call("Alarm DEACTIVATE", alarm(AlarmAction::Deactivate, own)).await;
    to.call("Alarm ACTIVATE", alarm(AlarmAction::Activate, own)).await;
    to.world.calm().await;
    to.call("Status", pb::StatusRequest {}).await;
    to.call("Hash", pb::HashRequest {}).await;
    to.call("HashKV", pb::HashKvRequest { revision: 0 }).await;
    to.call("HashKV of a compacted revision", pb::HashKvRequest { revision: 1 }).await;
    to.call("HashKV of a future revision", pb::HashKvRequest { revision: 1 << 40 }).await;
    to.snapshot("Snapshot").await;
    to.call("MoveLeader to itself", pb::MoveLeaderRequest { target_id: own }).await;
    to.call("MoveLeader to an unknown member", pb::MoveLeaderRequest { target_id: 404 }).await;
    to.call("Defragment", pb::DefragmentRequest {}).await;
    let downgrade = |action: i32, version: &str| pb::DowngradeRequest { action, version: version.into() };
    to.call("Downgrade VALIDATE", downgrade(DowngradeAction::Validate.into(), "3.6")).await;
    to.call("Downgrade VALIDATE of nonsense", downgrade(DowngradeAction::Validate.into(), "nonsense")).await;
    to.call("Downgrade VALIDATE of two versions down", downgrade(DowngradeAction::Validate.into(), "3.5"))
        .await;
    to.call("Downgrade CANCEL", downgrade(DowngradeAction::Cancel.into(), "")).await;
    to.call("Downgrade with an unknown action", downgrade(9, "3.6")).await;
}
