use std::sync::Arc;
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::LeaseTimeToLiveRequest;
use ferretcd_base::{LeaseId, MemberId};
use ferretcd_engine::peers::{GetVersions, HashKv, IsDowngrading, LeaseInfo, Promote, RenewLease};
use ferretcd_engine::{PeerError, PeerHash, PeerVersions};

use super::harness::{CLUSTER, Node, listen};
use crate::{MemberVersions, PlainConnect, cluster_members};

const TO: MemberId = MemberId(2);

#[tokio::test]
async fn requests_return_their_responses() {
    let nodes = Node::cluster(2).await;
    let peers = nodes[0].peers();
    assert_eq!(peers.call(TO, RenewLease(LeaseId(7))).await, Ok(70));
    let info =
        peers.call(TO, LeaseInfo(LeaseTimeToLiveRequest { id: 7, keys: true })).await.expect("it is known");
    assert_eq!((info.id, info.ttl, info.granted_ttl, info.keys), (7, 3, 9, vec!["k".into()]));
    assert!(info.header.is_some(), "etcd relies on it");
    let members = peers.call(TO, Promote(MemberId(u64::MAX))).await.expect("it is a learner");
    assert_eq!(members.iter().map(|member| member.id.0).collect::<Vec<_>>(), [u64::MAX]);
    let hash = PeerHash { hash: 0xabcd, revision: 12, compact_revision: -1 };
    assert_eq!(peers.call(TO, HashKv(12)).await, Ok(hash));
    let versions = PeerVersions { server: "3.7.1".to_owned(), cluster: "3.7.0".to_owned() };
    assert_eq!(peers.call(TO, GetVersions).await, Ok(versions));
    assert_eq!(peers.call(TO, IsDowngrading).await, Ok(true));
}

#[tokio::test]
async fn errors_keep_their_kind() {
    let nodes = Node::cluster(2).await;
    let peers = nodes[0].peers();
    let next = |error: &PeerError| nodes[1].recorder.errors.lock().push_back(error.clone());
    for error in [PeerError::NotFound, PeerError::TimeoutWaitApplied] {
        next(&error);
        assert_eq!(peers.call(TO, RenewLease(LeaseId(7))).await, Err(error.clone()));
        next(&error);
        let request = LeaseTimeToLiveRequest { id: 7, keys: false };
        assert_eq!(peers.call(TO, LeaseInfo(request)).await, Err(error));
    }
    for error in [PeerError::NotFound, PeerError::NotLearner, PeerError::LearnerNotReady, PeerError::Timeout]
    {
        next(&error);
        assert_eq!(peers.call(TO, Promote(MemberId(3))).await, Err(error));
    }
    for error in [PeerError::Compacted, PeerError::FutureRevision] {
        next(&error);
        assert_eq!(peers.call(TO, HashKv(3)).await, Err(error));
    }
    next(&PeerError::Rejected("no".to_owned()));
    let rejected = peers.call(TO, HashKv(3)).await;
    assert!(matches!(&rejected, Err(PeerError::Rejected(text)) if text.contains("no")), "{rejected:?}");
}

#[tokio::test]
async fn unknown_and_stopped_members_are_unreachable() {
    let mut nodes = Node::cluster(2).await;
    let unknown = nodes[0].peers().call(MemberId(9), GetVersions).await;
    assert!(matches!(unknown, Err(PeerError::Unreachable(_))), "{unknown:?}");
    nodes.pop().expect("there are two").stop().await;
    let away = nodes[0].peers().call(TO, RenewLease(LeaseId(1))).await;
    assert!(matches!(away, Err(PeerError::Unreachable(_))), "{away:?}");
    nodes[0].transport.stop();
    let stopped = nodes[0].peers().call(TO, GetVersions).await;
    assert!(matches!(stopped, Err(PeerError::Unreachable(_))), "{stopped:?}");
}

#[tokio::test]
async fn cluster_members_come_from_the_first_url_that_responds() {
    let node = Node::start(5, listen().await);
    let gone = listen().await.local_addr().expect("it was bound");
    let urls = ["no url".to_owned(), format!("http://{gone}"), format!("http://{}", node.address)];
    let fetch = |urls: &[String]| {
        let urls = urls.to_vec();
        async move { cluster_members(Arc::new(PlainConnect::default()), &urls, Duration::from_secs(5)).await }
    };
    let (cluster, members) = fetch(&urls).await.expect("the last one responds");
    assert_eq!((cluster, members[0].id, members[0].name.as_str()), (CLUSTER, MemberId(5), "recorder"));
    assert!(matches!(fetch(&urls[..2]).await, Err(PeerError::Unreachable(_))));
}

#[tokio::test]
async fn versions_come_from_all_urls_that_respond() {
    let node = Node::start(5, listen().await);
    let gone = listen().await.local_addr().expect("it was bound");
    let own = format!("http://{}", node.address);
    let urls = ["no url".to_owned(), format!("http://{gone}"), own.clone()];
    let mut versions =
        MemberVersions::request(Arc::new(PlainConnect::default()), &urls, Duration::from_secs(5));
    let (url, found) = versions.next().await.expect("the last one responds");
    assert_eq!((url, found.server.as_str()), (own, "3.7.1"));
    assert_eq!(versions.next().await, None);
}

/// What accepts and says nothing costs no other URL its time.
#[tokio::test]
async fn silent_urls_hold_up_no_response() {
    let node = Node::start(5, listen().await);
    let silent = listen().await;
    let urls = [silent.local_addr().expect("it is bound"), node.address].map(|at| format!("http://{at}"));
    // Never reached by a test that passes.
    let long = Duration::from_secs(3600);
    let connect = || Arc::new(PlainConnect::default());
    let responses = async {
        let versions = MemberVersions::request(connect(), &urls, long).next().await;
        assert_eq!(versions.expect("one responds").0, urls[1]);
        let (cluster, _) = cluster_members(connect(), &urls, long).await.expect("one responds");
        assert_eq!(cluster, CLUSTER);
    };
    tokio::time::timeout(Duration::from_secs(20), responses).await.expect("nothing waits for the silent one");

    let short = Duration::from_millis(10);
    assert_eq!(MemberVersions::request(connect(), &urls[..1], short).next().await, None);
    assert_eq!(cluster_members(connect(), &urls[..1], short).await, Err(PeerError::Timeout));
}
