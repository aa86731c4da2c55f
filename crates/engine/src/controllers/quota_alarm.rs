//! The NOSPACE alarm of this member.

use ferretcd_api_proto::etcdserverpb::{AlarmType, alarm_request::AlarmAction};

use crate::{Maintenance, MemberInfo};

/// The controller. Raises the alarm when something did not fit, unless it is active, and then rejects the requests that
/// the quota had no room for.
pub(super) async fn run(maintenance: Maintenance, member: MemberInfo) {
    loop {
        maintenance.rejected().next().await;
        if !member.has_alarm(AlarmType::Nospace, member.id()) {
            raise(&maintenance, &member).await;
        }
        maintenance.rejected().reject_all();
    }
}

async fn raise(maintenance: &Maintenance, member: &MemberInfo) {
    tracing::warn!(
        "quota-size-bytes" = maintenance.quota_bytes(),
        "message exceeded backend quota; raising alarm"
    );
    let raised = maintenance.set_alarm(AlarmType::Nospace, member.id(), AlarmAction::Activate);
    if let Err(error) = raised.await {
        tracing::warn!(%error, "failed to raise the NOSPACE alarm");
    }
}
