//! Membership changes and downgrades on every target.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::scenario::{MembersSession, run};
use ferretcd_tests::{Clients, Cluster, InProcess, Options, on_every_target};

async fn suite<C: Cluster>(file: &str) {
    run::<C, MembersSession>(file).await;
}

on_every_target! {
    sole_member => suite("cluster/sole_member.txt"),
    downgrade => suite("cluster/downgrade.txt"),
}

/// etcd checks less here and is not safe there, so this runs on ferretcd alone.
#[tokio::test]
async fn a_member_without_a_valid_peer_url_is_rejected() {
    let cluster = InProcess::start(&Options::default()).await.expect("a member starts");
    let mut clients = Clients::connect(&cluster).await.expect("it accepts connections");
    let list = clients.cluster.member_list(pb::MemberListRequest::default()).await.expect("a list");
    let id = list.into_inner().members[0].id;
    for peer_urls in [vec![], vec!["nonsense".to_owned()], vec!["http://h:1/path".to_owned()]] {
        let update = pb::MemberUpdateRequest { id, peer_urls };
        let status = clients.cluster.member_update(update).await.expect_err("no addresses");
        assert_eq!(status.message(), "etcdserver: given member URLs are invalid");
    }
}

/// An etcd cluster takes no writes from here on until the new member has started.
#[tokio::test]
async fn a_voter_that_never_starts_does_not_block_writes() {
    let cluster = InProcess::start(&Options::default()).await.expect("a member starts");
    let mut clients = Clients::connect(&cluster).await.expect("it accepts connections");
    let add = |port: u16| pb::MemberAddRequest {
        peer_urls: vec![format!("http://127.0.0.1:{port}")],
        is_learner: false,
    };
    let added = clients.cluster.member_add(add(1)).await.expect("one that has started may get another");
    let added = added.into_inner().member.expect("the response has the member");
    assert!(!added.is_learner);
    let put = pb::PutRequest { key: "a".into(), value: "1".into(), ..Default::default() };
    clients.kv.put(put).await.expect("the only voter decides");
    let third = clients.cluster.member_add(add(2)).await.expect_err("the second has not started");
    assert_eq!(third.message(), "etcdserver: re-configuration failed due to not enough started members");
    let promoted = clients.cluster.member_promote(pb::MemberPromoteRequest { id: added.id }).await;
    assert_eq!(
        promoted.expect_err("it is no learner").message(),
        "etcdserver: can only promote a learner member"
    );
    let removed = clients.cluster.member_remove(pb::MemberRemoveRequest { id: added.id }).await;
    assert_eq!(removed.expect("the quorum does not need it").into_inner().members.len(), 1);
    clients.cluster.member_add(add(2)).await.expect("there is room for another one");
}
