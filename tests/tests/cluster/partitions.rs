//! Network partitions, on links that hold data back and on networks that drop packets.

use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_testkit::Random;
use ferretcd_tests::members::history::Workload;
use ferretcd_tests::members::{DEADLINE, ELECTION, Members, Network, Retrying, Setup, until};
use ferretcd_tests::{Clients, Program, report};

use super::support::{judge, put};

/// A request needs less than this when there is a leader, even on a busy machine.
const A_MOMENT: Duration = Duration::from_millis(100);

fn others(number: usize) -> Vec<usize> {
    (0..3).filter(|&other| other != number).collect()
}

/// How long the member goes on serving linearizable reads, observed for three election timeouts.
async fn serves_for<P: Program>(cluster: &Members<P>, number: usize, since: Instant) -> Duration {
    let mut last = Duration::ZERO;
    let clients = Clients::lazy(&cluster.client_url(number), A_MOMENT);
    while since.elapsed() < 3 * ELECTION {
        let range = pb::RangeRequest { key: "key".into(), ..Default::default() };
        // The moment of the request: a response in flight at the partition does not count.
        let sent = since.elapsed();
        if tokio::time::timeout(A_MOMENT, clients.kv.clone().range(range))
            .await
            .is_ok_and(|response| response.is_ok())
        {
            last = sent;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    last
}

/// Three members; none if there can be no such network here, which is reported.
async fn start<P: Program>(network: Network, what: &str) -> Option<Members<P>> {
    if !network.is_available::<P>(what) {
        return None;
    }
    let cluster = Members::<P>::start(&Setup::of(3).on(network)).await;
    put(&cluster.clients(0), "key", "value").await.expect("every member takes puts");
    Some(cluster)
}

/// An isolated leader stops serving; the others elect another one, which it follows when it is back.
pub(crate) async fn leader_isolated<P: Program>(network: Network) {
    let Some(cluster) = start::<P>(network, "an isolated leader").await else { return };
    let load = Workload::default().begin(&cluster.client_urls(&[0, 1, 2]));
    for _ in 0..2 {
        load.changes(50).await;
        let (leader, term) = cluster.leader_and_term().await;
        cluster.isolate(leader);
        let isolated = Instant::now();
        let others = others(leader);
        let (served, _) =
            tokio::join!(serves_for(&cluster, leader, isolated), cluster.leader_after(&others, term));
        assert!(served < ELECTION, "it still served {served:?} later");
        load.changes(30).await;
        let said = cluster.status(leader).await.expect("it still has a status");
        assert_eq!((said.leader, said.errors.len()), (0, 1), "it knows that it leads no member: {said:?}");
        cluster.heal();
        cluster.leader().await;
        cluster.serves(leader).await;
        load.changes(30).await;
    }
    let history = load.finish().await;
    let summary = judge(&cluster, &history, &format!("an isolated leader ({network:?})")).await;
    assert!(summary.unknown > 0, "clients have to use the isolated leader");
}

/// A leader that receives nothing steps down, although its heartbeats arrive.
pub(crate) async fn leader_deaf<P: Program>(network: Network) {
    let Some(cluster) = start::<P>(network, "a deaf leader").await else { return };
    let load = Workload::default().begin(&cluster.client_urls(&[0, 1, 2]));
    load.changes(50).await;
    let (leader, term) = cluster.leader_and_term().await;
    others(leader).into_iter().for_each(|other| cluster.cut(other, leader));
    let cut = Instant::now();
    let served = serves_for(&cluster, leader, cut).await;
    assert!(served < ELECTION, "it still served {served:?} later");
    cluster.leader_after(&others(leader), term).await;
    load.changes(30).await;
    cluster.heal();
    cluster.leader().await;
    load.changes(30).await;
    let history = load.finish().await;
    judge(&cluster, &history, &format!("a deaf leader ({network:?})")).await;
}

/// A leader whose messages do not arrive is replaced, although it receives those of the others.
pub(crate) async fn leader_mute<P: Program>(network: Network) {
    let Some(cluster) = start::<P>(network, "a mute leader").await else { return };
    let load = Workload::default().begin(&cluster.client_urls(&[0, 1, 2]));
    load.changes(50).await;
    let (leader, term) = cluster.leader_and_term().await;
    others(leader).into_iter().for_each(|other| cluster.cut(leader, other));
    cluster.leader_after(&others(leader), term).await;
    load.changes(30).await;
    cluster.heal();
    cluster.leader().await;
    load.changes(30).await;

    // The same for one follower: the leader does not reach it, and no other member is affected.
    let follower = cluster.follower().await;
    let (leader, term) = cluster.leader_and_term().await;
    cluster.cut(leader, follower);
    let cut = Instant::now();
    load.changes(50).await;
    until("three election timeouts have passed", DEADLINE, async || {
        (cut.elapsed() > 3 * ELECTION).then_some(()).ok_or_else(|| "not yet".to_owned())
    })
    .await;
    let third = (0..3).find(|&number| number != leader && number != follower).expect("three members");
    let mut client = Retrying::new(&cluster.client_urls(&[leader, third]), A_MOMENT, DEADLINE);
    client.put("key", "meanwhile").await.expect("two of three go on");
    let (_, later) = cluster.leader_among(&[leader, third]).await;
    assert_eq!(later, term, "a follower without a leader must not make the leader of the others step down");
    cluster.heal();
    cluster.leader().await;
    let history = load.finish().await;
    judge(&cluster, &history, &format!("a mute leader ({network:?})")).await;
}

/// An isolated follower does not affect the others, neither during the partition nor when it is back.
pub(crate) async fn follower_isolated<P: Program>(network: Network) {
    let Some(cluster) = start::<P>(network, "an isolated follower").await else { return };
    let (leader, term) = cluster.leader_and_term().await;
    let follower = cluster.follower().await;
    let load = Workload::default().begin(&cluster.client_urls(&[0, 1, 2]));
    load.changes(50).await;
    cluster.isolate(follower);
    let served = serves_for(&cluster, follower, Instant::now()).await;
    assert!(served < A_MOMENT, "it still served {served:?} later");
    load.changes(50).await;
    assert_eq!(cluster.leader_among(&others(follower)).await, (leader, term));
    cluster.heal();
    assert_eq!(cluster.leader_and_term().await, (leader, term));
    cluster.serves(follower).await;
    load.changes(30).await;
    let history = load.finish().await;
    judge(&cluster, &history, &format!("an isolated follower ({network:?})")).await;
}

/// Random link faults lose nothing, and the cluster goes on when the links work again.
pub(crate) async fn flapping<P: Program>(network: Network) {
    let Some(cluster) = start::<P>(network, "flapping links").await else { return };
    let load = Workload::default().begin(&cluster.client_urls(&[0, 1, 2]));
    load.changes(30).await;
    let mut random = Random::new(7);
    for round in 0..12 {
        // Some faults are over before any timeout, others last for several elections.
        let time = ELECTION * u32::try_from(1 + random.below(8)).expect("small") / 3;
        let mut number = || usize::try_from(random.below(3)).expect("three members");
        match round % 3 {
            0 => cluster.isolate(number()),
            1 => cluster.cut(number(), number()),
            _ => {
                let mute = number();
                others(mute).into_iter().for_each(|other| cluster.cut(mute, other));
            }
        }
        // The fault itself has to last this long.
        tokio::time::sleep(time).await;
        cluster.heal();
        tokio::time::sleep(ELECTION / 5).await;
    }
    let healed = Instant::now();
    load.changes(30).await;
    report::measured(
        &format!("changes again after flapping links ({network:?}) on {}", P::KIND.name),
        &format!("{:?}", healed.elapsed()),
    );
    cluster.leader().await;
    let history = load.finish().await;
    judge(&cluster, &history, &format!("flapping links ({network:?})")).await;
}
