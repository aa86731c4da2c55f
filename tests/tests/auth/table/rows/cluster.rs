//! The Cluster service. No call changes the membership.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::Cluster;

use super::super::column::Recorder;

const UNKNOWN: u64 = 404;

pub(super) async fn record<C: Cluster>(to: &mut Recorder<'_, C>) {
    let taken = vec![to.world.peer_url.clone()];
    let add = |peer_urls: Vec<String>, is_learner| pb::MemberAddRequest { peer_urls, is_learner };
    to.call("MemberList", pb::MemberListRequest { linearizable: true }).await;
    to.call("MemberList, serializable", pb::MemberListRequest { linearizable: false }).await;
    to.call("MemberAdd without URLs", add(vec![], false)).await;
    to.call("MemberAdd with a bad URL", add(vec!["nonsense".to_owned()], false)).await;
    to.call("MemberAdd with a taken URL", add(taken.clone(), false)).await;
    to.call("MemberAdd of a learner with a taken URL", add(taken.clone(), true)).await;
    to.call("MemberRemove of an unknown member", pb::MemberRemoveRequest { id: UNKNOWN }).await;
    let update = |id, peer_urls: &[&str]| {
        let peer_urls = peer_urls.iter().map(|url| (*url).to_owned()).collect();
        pb::MemberUpdateRequest { id, peer_urls }
    };
    to.call("MemberUpdate of an unknown member", update(UNKNOWN, &["http://127.0.0.1:1"])).await;
    to.call("MemberUpdate with a bad URL", update(UNKNOWN, &["nonsense"])).await;
    let same = pb::MemberUpdateRequest { id: to.world.id, peer_urls: taken };
    to.call("MemberUpdate to the same URLs", same).await;
    to.call("MemberPromote of an unknown member", pb::MemberPromoteRequest { id: UNKNOWN }).await;
    to.call("MemberPromote of a voter", pb::MemberPromoteRequest { id: to.world.id }).await;
}
