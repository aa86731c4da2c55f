//! Members that are killed or paused under load.

use std::time::{Duration, Instant};

use ferretcd_tests::members::history::Workload;
use ferretcd_tests::members::{DEADLINE, ELECTION, Members, Setup, until};
use ferretcd_tests::{Program, on_every_program, report};

use super::support::judge;

/// The leader is killed again and again. Each time the others go on, and the old leader comes back.
async fn leaders_die<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let load = Workload::default().begin(&cluster.client_urls(&[0, 1, 2]));
    let mut times = Vec::new();
    for round in 0..5 {
        load.changes(60).await;
        let (leader, term) = cluster.leader_and_term().await;
        cluster.kill9(leader).await;
        let killed = Instant::now();
        let (_, term) = cluster.leader_after(&cluster.running(), term).await;
        times.push(killed.elapsed());
        load.changes(40).await;
        cluster.restart(leader).await;
        assert!(cluster.leader_and_term().await.1 >= term, "round {round}");
    }
    load.changes(50).await;
    let history = load.finish().await;
    report::measured(&format!("new leaders after kill -9 on {}", P::KIND.name), &format!("{times:?}"));
    let summary = judge(&cluster, &history, "leaders die").await;
    assert!(summary.changes >= 500 && summary.reads > 200, "{summary:?}");
}

/// All members are killed at the same moment, also during their start.
async fn all_die<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let load = Workload::default().begin(&cluster.client_urls(&[0, 1, 2]));
    for round in 0..3 {
        load.changes(80).await;
        for number in 0..3 {
            cluster.kill9(number).await;
        }
        if round > 0 {
            // Too few for a quorum are up again for a moment.
            cluster.spawn(round % 3);
            let lines = cluster.logs(round % 3).lines().count();
            until("the member has begun", DEADLINE, async || {
                let now = cluster.logs(round % 3).lines().count();
                (now > lines).then_some(()).ok_or_else(|| format!("{now} lines"))
            })
            .await;
            cluster.kill9(round % 3).await;
        }
        for number in 0..3 {
            cluster.spawn(number);
        }
        for number in 0..3 {
            cluster.ready(number).await;
        }
    }
    load.changes(50).await;
    let history = load.finish().await;
    judge(&cluster, &history, "all die").await;
}

/// A paused leader is replaced, and serves no stale reads when it goes on.
async fn leader_pauses<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(3)).await;
    let load = Workload::default().begin(&cluster.client_urls(&[0, 1, 2]));
    for _ in 0..3 {
        load.changes(60).await;
        let (leader, term) = cluster.leader_and_term().await;
        cluster.pause(leader);
        let paused = Instant::now();
        let others: Vec<_> = (0..3).filter(|&number| number != leader).collect();
        cluster.leader_after(&others, term).await;
        report::measured(
            &format!("a new leader after one stands still on {}", P::KIND.name),
            &format!("{:?}", paused.elapsed()),
        );
        load.changes(30).await;
        cluster.go_on(leader);
        load.changes(30).await;
    }
    let history = load.finish().await;
    judge(&cluster, &history, "a leader stalls").await;
}

/// A pause shorter than an election timeout changes nothing.
async fn follower_pauses<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(3)).await;
    let (leader, term) = cluster.leader_and_term().await;
    let follower = cluster.follower().await;
    let load = Workload { patience: Duration::from_secs(5), ..Workload::default() };
    let load = load.begin(&cluster.client_urls(&[leader]));
    cluster.pause(follower);
    let begun = Instant::now();
    load.changes(200).await;
    until("three election timeouts have passed", DEADLINE, async || {
        (begun.elapsed() > 3 * ELECTION).then_some(()).ok_or_else(|| "not yet".to_owned())
    })
    .await;
    cluster.go_on(follower);
    load.changes(50).await;
    assert_eq!(
        cluster.leader_and_term().await,
        (leader, term),
        "a returning follower must not change the leader"
    );
    let history = load.finish().await;
    let summary = judge(&cluster, &history, "a follower stalls").await;
    assert_eq!(summary.unknown, 0, "a paused follower must not delay requests");
}

on_every_program! {
    a_killed_leader_is_replaced => leaders_die(),
    a_cluster_survives_the_kill_of_all_members => all_die(),
    a_paused_leader_is_replaced => leader_pauses(),
    a_paused_follower_does_not_delay_the_others => follower_pauses(),
}
