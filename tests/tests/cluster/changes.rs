//! Membership changes, and when they are rejected.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Program, on_every_program};
use tonic::{Code, Status};

use super::support::{assert_rejected, get, put};

const NOT_ENOUGH: &str = "etcdserver: re-configuration failed due to not enough started members";
const UNHEALTHY: &str = "etcdserver: unhealthy cluster";
const NOT_FOUND: &str = "etcdserver: member not found";

async fn add<P: Program>(
    cluster: &Members<P>,
    through: usize,
    url: &str,
    is_learner: bool,
) -> Result<u64, Status> {
    let request = pb::MemberAddRequest { peer_urls: vec![url.to_owned()], is_learner };
    let response = cluster.clients(through).cluster.member_add(request).await?.into_inner();
    Ok(response.member.expect("the response has the member").id)
}

async fn remove<P: Program>(cluster: &Members<P>, through: usize, id: u64) -> Result<usize, Status> {
    let request = pb::MemberRemoveRequest { id };
    Ok(cluster.clients(through).cluster.member_remove(request).await?.into_inner().members.len())
}

/// All members list the same, and any of them takes changes.
async fn listed<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let expected: Vec<_> = {
        let mut members: Vec<_> = (0..3)
            .map(|number| {
                let urls = (vec![cluster.peer_url(number)], vec![cluster.client_url(number)]);
                (cluster.id(number), cluster.name(number).to_owned(), urls, false)
            })
            .collect();
        members.sort();
        members
    };
    for number in 0..3 {
        let listed = until("all members are published", DEADLINE, async || {
            let listed = cluster.list(number).await.map_err(|status| status.to_string())?;
            let all = listed.iter().all(|member| !member.name.is_empty());
            all.then_some(listed).ok_or_else(|| "a name is missing".to_owned())
        })
        .await;
        let listed = listed.into_iter();
        let listed: Vec<_> = listed
            .map(|member| (member.id, member.name, (member.peer_urls, member.client_urls), member.is_learner))
            .collect();
        assert_eq!(listed, expected, "through m{number}");
    }

    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    // One more address for a follower, requested through a follower, is visible on all members.
    let urls = vec![cluster.peer_url(follower), "http://127.0.0.1:1".to_owned()];
    let request = pb::MemberUpdateRequest { id: cluster.id(follower), peer_urls: urls.clone() };
    let updated = cluster.clients(follower).cluster.member_update(request).await;
    updated.expect("followers take updates");
    for number in 0..3 {
        let listed = cluster.list(number).await.expect("every member lists");
        let member = listed.iter().find(|member| member.id == cluster.id(follower));
        let mut found = member.expect("it is still there").peer_urls.clone();
        found.sort();
        let mut urls = urls.clone();
        urls.sort();
        assert_eq!(found, urls, "through m{number}");
    }
    let taken = pb::MemberUpdateRequest { id: cluster.id(leader), peer_urls: urls };
    let exists = "etcdserver: Peer URLs already exists";
    let rejected = cluster.clients(follower).cluster.member_update(taken).await;
    assert_rejected(rejected, Code::FailedPrecondition, exists);
    let unknown = pb::MemberUpdateRequest { id: 1, peer_urls: vec!["http://127.0.0.1:2".to_owned()] };
    assert_rejected(
        cluster.clients(follower).cluster.member_update(unknown).await,
        Code::NotFound,
        NOT_FOUND,
    );
    assert_rejected(remove(&cluster, follower, 1).await, Code::NotFound, NOT_FOUND);
    let bad = "etcdserver: given member URLs are invalid";
    assert_rejected(add(&cluster, follower, "127.0.0.1", false).await, Code::InvalidArgument, bad);

    // The leader is removed by a request to a follower.
    cluster.remove(follower, leader).await;
    assert!(cluster.exited(leader).await.success(), "a removed member ends in peace");
    let new = cluster.leader().await;
    assert_eq!(cluster.list(new).await.expect("every member lists").len(), 2);
    assert_rejected(remove(&cluster, new, cluster.id(leader)).await, Code::NotFound, NOT_FOUND);
    put(&cluster.clients(follower), "after", "v").await.expect("two members go on");
    cluster.assert_equal().await;
}

/// A cluster of one can grow, but not further until the second member has started.
async fn strict_alone<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(1)).await;
    let published = until("the member is published", DEADLINE, async || {
        let listed = cluster.list(0).await.map_err(|status| status.to_string())?;
        listed.iter().all(|member| !member.name.is_empty()).then_some(()).ok_or("no name".to_owned())
    });
    published.await;
    let added = until("the second member is added", DEADLINE, async || {
        match add(&cluster, 0, "http://127.0.0.1:1", false).await {
            Ok(id) => Ok(id),
            Err(status) if status.message() == UNHEALTHY => Err(status.to_string()),
            Err(status) => panic!("one can grow to two: {status}"),
        }
    });
    added.await;
    assert_rejected(add(&cluster, 0, "http://127.0.0.1:2", false).await, Code::Unknown, NOT_ENOUGH);
}

/// A cluster that has lost a member rejects changes that weaken it; the dead member may be removed.
async fn strict<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    put(&cluster.clients(0), "a", "v").await.expect("every member takes puts");
    let leader = cluster.leader().await;
    let dead = cluster.follower().await;
    cluster.kill9(dead).await;
    let alive = cluster.running().into_iter().find(|&number| number != leader).expect("three members");
    for through in [leader, alive] {
        until("the dead member is missed", DEADLINE, async || {
            match add(&cluster, through, "http://127.0.0.1:1", false).await {
                Err(status) if status.message() == UNHEALTHY => Ok(()),
                response => panic!("it is not rejected as unhealthy: {response:?}"),
            }
        })
        .await;
        assert_rejected(remove(&cluster, through, cluster.id(alive)).await, Code::Unavailable, UNHEALTHY);
        assert_rejected(remove(&cluster, through, cluster.id(leader)).await, Code::Unavailable, UNHEALTHY);
    }
    let left = remove(&cluster, alive, cluster.id(dead)).await.expect("a dead member can go");
    assert_eq!(left, 2);
    cluster.forget(dead);
    put(&cluster.clients(alive), "b", "v").await.expect("two of two go on");
    let found = get(&cluster.clients(leader), "b", false).await.expect("every member takes reads");
    assert_eq!(found.as_deref(), Some("v"));
    cluster.assert_equal().await;
}

on_every_program! {
    members_are_listed_and_changed => listed(),
    one_member_grows_by_one => strict_alone(),
    a_change_that_weakens_the_quorum_is_rejected => strict(),
}
