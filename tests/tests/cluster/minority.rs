//! Members without a quorum.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::watch_client::WatchClient;
use ferretcd_client::Channel;
use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Clients, Program, on_every_program, raw};
use tokio_stream::once;
use tonic::{Code, Request, Status};

use super::support::{assert_rejected, get, put, put_at_last};

const NO_LEADER: &str = "etcdserver: no leader";
const TIMED_OUT: &str = "etcdserver: request timed out";

fn with_leader<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("hasleader", "true".parse().expect("a word is a value"));
    request
}

/// The error that ends a watch that requires a leader.
async fn watch_with_leader(mut watch: WatchClient<Channel>) -> Result<(), Status> {
    let create = pb::WatchCreateRequest { key: "key".into(), ..Default::default() };
    let create = pb::watch_request::RequestUnion::CreateRequest(create);
    let requests = once(pb::WatchRequest { request_union: Some(create) });
    let mut stream = watch.watch(with_leader(requests)).await?.into_inner();
    while stream.message().await?.is_some() {}
    Ok(())
}

/// A single member of three takes no writes, but serves serializable reads.
async fn one_of_three<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    put(&cluster.clients(0), "key", "value").await.expect("every member takes puts");
    let left = cluster.follower().await;
    cluster.serves(left).await;
    let clients = cluster.clients(left);
    let watching = tokio::spawn(watch_with_leader(clients.watch.clone()));
    for number in (0..3).filter(|&number| number != left) {
        cluster.kill9(number).await;
    }
    until("the member misses its leader", DEADLINE, async || {
        let status = cluster.status(left).await?;
        let said = (status.leader, status.errors.first().map(String::as_str));
        (said == (0, Some(NO_LEADER))).then_some(()).ok_or_else(|| format!("{said:?}"))
    })
    .await;
    assert_rejected(watching.await.expect("it does not panic"), Code::Unavailable, NO_LEADER);
    assert_rejected(watch_with_leader(clients.watch.clone()).await, Code::Unavailable, NO_LEADER);
    let range = pb::RangeRequest { key: "key".into(), ..Default::default() };
    let rejected = clients.kv.clone().range(with_leader(range)).await;
    assert_rejected(rejected, Code::Unavailable, NO_LEADER);

    assert_eq!(get(&clients, "key", true).await.expect("it has the row").as_deref(), Some("value"));
    let list = pb::MemberListRequest { linearizable: false };
    let listed = clients.cluster.clone().member_list(list).await.expect("it knows the members");
    assert_eq!(listed.into_inner().members.len(), 3);
    let health = raw::page(&cluster.client_url(left), "/health").await;
    assert!(health.is_err(), "{health:?}");
    let (written, read) = tokio::join!(put(&clients, "key", "other"), get(&clients, "key", false));
    assert_rejected(written, Code::DeadlineExceeded, "context deadline exceeded");
    assert_rejected(read, Code::Unavailable, TIMED_OUT);

    // A request that arrives while there is no leader is served once there is one.
    let waiting = tokio::spawn({
        let clients = clients.clone();
        async move { put(&clients, "after", "v").await }
    });
    for number in (0..3).filter(|&number| number != left) {
        cluster.spawn(number);
    }
    for number in 0..3 {
        cluster.ready(number).await;
    }
    waiting.await.expect("it does not panic").expect("the put waits for a leader");
    let health = raw::page(&cluster.client_url(left), "/health").await.expect("it is healthy again");
    assert_eq!(health.trim(), r#"{"health":"true","reason":""}"#);
    cluster.assert_equal().await;
}

/// Five members can lose any two of them, but not three.
async fn five<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(5)).await;
    for _ in 0..2 {
        let leader = cluster.leader().await;
        cluster.kill9(leader).await;
        let some = cluster.running()[0];
        put_at_last(&cluster.clients(some), "key", "value").await;
    }
    let leader = cluster.leader().await;
    cluster.kill9(leader).await;
    let two = cluster.running();
    let brief = Clients::lazy(&cluster.client_url(two[0]), std::time::Duration::from_secs(1));
    put(&brief, "key", "lost").await.expect_err("two of five decide nothing");
    for number in (0..5).filter(|number| !two.contains(number)) {
        cluster.restart(number).await;
    }
    for number in 0..5 {
        put_at_last(&cluster.clients(number), &format!("key{number}"), "value").await;
    }
    cluster.assert_equal().await;
}

on_every_program! {
    one_of_three_takes_no_writes => one_of_three(),
    five_members_can_lose_two => five(),
}
