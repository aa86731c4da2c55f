//! Planned starts and restarts.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferretcd_tests::members::{DEADLINE, Members, Retrying, Setup, until};
use ferretcd_tests::{Program, on_every_program, report};
use tokio::sync::watch;

use super::support::{get, put, put_at_last};

/// Clients that retry do not notice that one member after the other is restarted.
async fn rolling<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let urls = cluster.client_urls(&[0, 1, 2]);
    let (over, is_over) = watch::channel(false);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (is_over, urls, acknowledged) = (is_over.clone(), urls.clone(), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let mut client = Retrying::new(&urls, Duration::from_secs(2), Duration::from_secs(10));
                let (mut count, mut longest) = (0, Duration::ZERO);
                while !*is_over.borrow() {
                    let (key, value) = (format!("rolling{number}"), count.to_string());
                    let begun = Instant::now();
                    client.put(&key, &value).await.expect("no put fails");
                    let found = client.get(&key).await.expect("no read fails");
                    assert_eq!(found, Some(value.into_bytes()), "client {number}");
                    longest = longest.max(begun.elapsed());
                    count += 1;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                (count, longest)
            })
        })
        .collect();
    let some_more = async || {
        let enough = acknowledged.load(Ordering::Relaxed) + 40;
        until("clients are acknowledged", DEADLINE, async || {
            let count = acknowledged.load(Ordering::Relaxed);
            (count >= enough).then_some(()).ok_or_else(|| format!("{count} of {enough}"))
        })
        .await;
    };
    for _ in 0..2 {
        for number in 0..3 {
            some_more().await;
            let status = cluster.stop(number).await;
            assert_eq!(status.signal(), Some(15), "{status}");
            cluster.restart(number).await;
        }
    }
    some_more().await;
    over.send(true).expect("clients listen");
    let (mut count, mut longest) = (0, Duration::ZERO);
    for client in clients {
        let (own, slowest) = client.await.expect("no client fails");
        count += own;
        longest = longest.max(slowest);
    }
    report::measured(
        &format!("a rolling restart on {}", P::KIND.name),
        &format!("{count} puts and reads, the slowest pair took {longest:?}"),
    );
    cluster.assert_equal().await;
}

/// A founder that starts when the others have formed the cluster without it takes part all the same. The others decide
/// on the lowest cluster version there is as long as one of the members does not respond.
async fn late<P: Program>() {
    let prepared = Members::<P>::prepare(&Setup::of(3)).await;
    let mut cluster = prepared.unwrap_or_else(|error| panic!("failed to {error}"));
    cluster.spawn(0);
    cluster.restart(1).await;
    cluster.ready(0).await;
    until("the cluster version is decided", DEADLINE, async || {
        let logs = [cluster.logs(0), cluster.logs(1)];
        let is_decided = logs.iter().any(|logs| logs.contains("set initial cluster version"));
        is_decided.then_some(()).ok_or_else(|| "no member logs it".to_owned())
    })
    .await;
    cluster.restart(2).await;
    put(&cluster.clients(2), "late", "v").await.expect("every member takes puts");
    cluster.assert_equal().await;
}

/// `--force-new-cluster` makes one member of three a cluster of its own, which keeps its data and grows again.
async fn forced<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    for index in 0..20 {
        put(&cluster.clients(index % 3), &format!("key{index}"), "v").await.expect("every member takes puts");
    }
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    cluster.assert_equal().await;
    // Entries that the member does not know to be committed are dropped, and the next message tells it what is.
    for _ in 0..3 {
        put(&cluster.clients(leader), "next", "v").await.expect("every member takes puts");
    }
    cluster.assert_equal().await;
    for number in 0..3 {
        cluster.kill9(number).await;
    }
    cluster.spawn_with(follower, &["--force-new-cluster"]);
    cluster.ready(follower).await;
    let clients = cluster.clients(follower);
    for index in 0..20 {
        let found = get(&clients, &format!("key{index}"), false).await.expect("it serves alone");
        assert_eq!(found.as_deref(), Some("v"), "key{index}");
    }
    let listed = cluster.list(follower).await.expect("it lists itself");
    assert_eq!(listed.iter().map(|member| member.id).collect::<Vec<_>>(), [cluster.id(follower)]);
    put_at_last(&clients, "alone", "v").await;
    // Without the flag it stays a cluster of one, and members of the old cluster do not count.
    cluster.stop(follower).await;
    cluster.restart(follower).await;
    assert_eq!(cluster.list(follower).await.expect("it lists itself").len(), 1);
    for number in (0..3).filter(|&number| number != follower) {
        cluster.wipe(number);
        cluster.forget(number);
    }
    assert_ne!(leader, follower);
    let new = cluster.grow(follower).await;
    assert_eq!(get(&cluster.clients(new), "alone", false).await.expect("two serve").as_deref(), Some("v"));
    put_at_last(&cluster.clients(new), "together", "v").await;
    tokio::time::timeout(DEADLINE, cluster.assert_equal()).await.expect("they agree");
}

on_every_program! {
    members_are_restarted_in_turn => rolling(),
    a_founder_starts_late => late(),
    a_new_cluster_is_forced => forced(),
}
