//! A cluster of a release that can't have ferretcd for a member.

use ferretcd_api_proto::etcdserverpb::{Member, MemberAddRequest, MemberListRequest};
use ferretcd_tests::{Clients, Cluster as _, Etcd34, Ferretcd, Options, Process, report};

use crate::started::{Started, directory};

async fn members(clients: &mut Clients) -> Vec<Member> {
    let response = clients.cluster.member_list(MemberListRequest::default()).await;
    response.expect("it serves").into_inner().members
}

/// Members older than 3.5 see nothing of the one that does not join them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_before_3_5_are_not_joined() {
    if !report::available::<Process<Etcd34>>("joining a cluster of etcd 3.4") {
        return;
    }
    let cluster = Process::<Etcd34>::start(&Options::default()).await.expect("it is installed");
    let mut clients = Clients::connect(&cluster).await.expect("it serves");
    let peer_url = members(&mut clients).await[0].peer_urls[0].clone();
    let own = "http://127.0.0.1:1".to_owned();
    for state in ["new", "existing"] {
        if state == "existing" {
            let add = MemberAddRequest { peer_urls: vec![own.clone()], is_learner: true };
            clients.cluster.member_add(add).await.expect("it can be added");
        }
        let before = members(&mut clients).await;
        let dir = directory();
        let flags = [
            "--name=new".to_owned(),
            format!("--initial-cluster=new={own},default={peer_url}"),
            format!("--initial-cluster-state={state}"),
        ];
        let mut process = Started::sole::<Ferretcd>(&dir.path().join("data"), &flags).await;
        let status = process.ended().await;
        assert_eq!(status.code(), Some(1), "{}", process.log);
        let error = format!("cannot be a member of a cluster with etcd before 3.5: {peer_url} reports 3.4.");
        assert!(process.log.contains(&error), "{}", process.log);
        assert!(!dir.path().join("data").exists(), "nothing is made");
        assert_eq!(members(&mut clients).await, before);
    }
}
