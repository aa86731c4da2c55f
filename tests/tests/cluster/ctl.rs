//! The view of administrators: stock etcdctl on a cluster.

use std::collections::BTreeSet;

use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::scenario::CtlSession;
use ferretcd_tests::{Program, on_every_program, report};
use tokio::process::Command;

/// Runs etcdctl with the endpoint of one member, and returns its lines. Retries while the cluster is not healthy yet,
/// and panics on any other error.
async fn ctl(endpoint: &str, words: &[&str]) -> Vec<String> {
    until(&format!("etcdctl {words:?}"), DEADLINE, async || {
        let (is_success, lines) = run(endpoint, words).await;
        let is_soon = lines.iter().any(|line| line.ends_with("etcdserver: unhealthy cluster"));
        assert!(is_success || is_soon, "etcdctl {words:?}: {lines:#?}");
        if is_success { Ok(lines) } else { Err(lines.join("\n")) }
    })
    .await
}

async fn run(endpoint: &str, words: &[&str]) -> (bool, Vec<String>) {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").arg(format!("--endpoints={endpoint}")).args(words).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output()).await;
    let output = output.expect("etcdctl comes to an end").expect("etcdctl runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // Healthy endpoints are reported on stderr.
    let lines = text(&output.stdout) + &text(&output.stderr);
    (output.status.success(), lines.lines().map(str::to_owned).collect())
}

fn cells(line: &str) -> Vec<&str> {
    line.split(", ").collect()
}

async fn administered<P: Program>() {
    if let Err(missing) = CtlSession::available().await {
        return report::skipped("etcdctl on clusters", &format!("failed to {missing}"));
    }
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let host = |number: usize| cluster.client_url(number).trim_start_matches("http://").to_owned();
    let endpoint = host(follower);

    // With `--cluster` etcdctl sends URLs in place of host names, which are not valid ones.
    let status = ctl(&endpoint, &["endpoint", "status", "--cluster", "-w", "json"]).await.concat();
    for number in 0..3 {
        assert!(status.contains(&format!("\"Endpoint\":\"{}\"", cluster.client_url(number))), "{status}");
    }
    let urls = cluster.client_urls(&[0, 1, 2]).join(",");
    let hashes = ctl(&urls, &["endpoint", "hashkv"]).await;
    assert!((0..3).all(|number| hashes[number].starts_with(&cluster.client_url(number))), "{hashes:?}");
    let all = [host(0), host(1), host(2)].join(",");
    let status = ctl(&all, &["endpoint", "status"]).await;
    let found: BTreeSet<_> = status
        .iter()
        .map(|line| {
            let cells = cells(line);
            (cells[0].to_owned(), cells[1].to_owned(), cells[4].to_owned(), cells[5].to_owned())
        })
        .collect();
    let expected: BTreeSet<_> = (0..3)
        .map(|number| {
            let id = format!("{:x}", cluster.id(number));
            (host(number), id, (number == leader).to_string(), "false".to_owned())
        })
        .collect();
    assert_eq!(found, expected);
    let terms: BTreeSet<_> = status.iter().map(|line| cells(line)[6].to_owned()).collect();
    assert_eq!(terms.len(), 1, "{status:?}");

    let health = ctl(&endpoint, &["endpoint", "health", "--cluster"]).await;
    let healthy = health.iter().filter(|line| line.contains("is healthy: successfully committed proposal"));
    assert_eq!(healthy.count(), 3, "{health:?}");
    let hashes = ctl(&all, &["endpoint", "hashkv"]).await;
    let hashes: BTreeSet<_> = hashes.iter().map(|line| cells(line)[1].to_owned()).collect();
    assert_eq!(hashes.len(), 1);

    let listed = ctl(&endpoint, &["member", "list"]).await;
    let listed: BTreeSet<_> = listed.into_iter().collect();
    let line = |number: usize| {
        let (id, name) = (cluster.id(number), cluster.name(number));
        let (peer, client) = (cluster.peer_url(number), cluster.client_url(number));
        format!("{id:x}, started, {name}, {peer}, {client}, false")
    };
    assert_eq!(listed, (0..3).map(line).collect());

    let (old, new) = (format!("{:x}", cluster.id(leader)), format!("{:x}", cluster.id(follower)));
    let moved = ctl(&host(leader), &["move-leader", &new]).await;
    assert_eq!(moved, [format!("Leadership transferred from {old} to {new}")]);
    assert_eq!(cluster.leader().await, follower);

    // A member is added as a learner, promoted and removed.
    let number = cluster.room().await;
    let url = format!("--peer-urls={}", cluster.peer_url(number));
    let added = ctl(&endpoint, &["member", "add", cluster.name(number), "--learner", &url]).await;
    assert!(added[0].contains("added to cluster"), "{added:?}");
    let names = added.iter().find_map(|line| line.strip_prefix("ETCD_INITIAL_CLUSTER=\""));
    let names = names.expect("the cluster is listed").trim_end_matches('"');
    assert_eq!(names.split(',').count(), 4, "{names}");
    assert!(added.iter().any(|line| line == "ETCD_INITIAL_CLUSTER_STATE=\"existing\""), "{added:?}");
    cluster.restart(number).await;
    cluster.promote(follower, number).await;
    cluster.serves(number).await;
    let id = format!("{:x}", cluster.id(number));
    let of_cluster = ctl(&endpoint, &["member", "remove", &id]).await;
    assert!(of_cluster[0].starts_with(&format!("Member {id:>16} removed from cluster ")), "{of_cluster:?}");
    cluster.forget(number);
    assert!(cluster.exited(number).await.success(), "a removed member ends in peace");
    cluster.assert_equal().await;
}

on_every_program! {
    etcdctl_administers => administered(),
}
