//! Downgrades of clusters of several members, of one program and of two.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::downgrade_request::DowngradeAction;
use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Etcd37, Ferretcd, Program, on_every_program, raw};

use super::mixed::{is_possible, lead};
use super::snapshots::{SHORT_LOG, fill, received};
use super::support::{put, put_at_last};

/// Sends a request through a member, and returns the version in the response.
async fn downgrade<P: Program>(
    cluster: &Members<P>,
    through: usize,
    action: DowngradeAction,
    version: &str,
) -> String {
    let request = pb::DowngradeRequest { action: action.into(), version: version.to_owned() };
    let response = cluster.clients(through).maintenance.downgrade(request).await;
    response.unwrap_or_else(|status| panic!("m{through} rejects {action:?}: {status}")).into_inner().version
}

/// Waits until all running members are at a version, and know where the downgrade leads.
async fn all_at<P: Program>(cluster: &Members<P>, version: &str, target: &str) {
    for number in cluster.running() {
        until(&format!("m{number} is at {version}"), DEADLINE, async || {
            let status = cluster.status(number).await?;
            let url = cluster.client_url(number);
            let page = raw::page(&url, "/version").await.map_err(|error| error.to_string())?;
            let info = status.downgrade_info.clone().unwrap_or_default();
            let enabled = raw::page(&cluster.peer_url(number), "/downgrade/enabled").await;
            let enabled = enabled.map_err(|error| error.to_string())?;
            let is_there = status.storage_version == version
                && page.contains(&format!("\"etcdcluster\":\"{version}\",\"storage\":\"{version}\""))
                && (info.enabled, &info.target_version[..]) == (!target.is_empty(), target)
                && enabled == info.enabled.to_string();
            if is_there { Ok(()) } else { Err(format!("{page}, {enabled}, {status:?}")) }
        })
        .await;
    }
}

/// The versions fall and rise on all members, those that were down for a while and get a snapshot among them.
async fn down_and_up<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3).with(SHORT_LOG)).await;
    all_at(&cluster, "3.7.0", "").await;
    let follower = cluster.follower().await;
    assert_eq!(downgrade(&cluster, follower, DowngradeAction::Validate, "3.6").await, "3.7");
    cluster.kill9(follower).await;
    let through = cluster.running()[0];
    assert_eq!(downgrade(&cluster, through, DowngradeAction::Enable, "3.6").await, "3.7");
    fill(&cluster, through, "while it was down/").await;
    cluster.restart(follower).await;
    assert!(received(&cluster, follower).await > 0, "m{follower} has got no snapshot");
    all_at(&cluster, "3.6.0", "3.6.0").await;
    put(&cluster.clients(follower), "at 3.6", "v").await.expect("every member takes puts");
    cluster.assert_equal().await;

    // Stopped and started members remember it, and so does the next leader.
    let leader = cluster.leader().await;
    cluster.kill9(leader).await;
    cluster.restart(leader).await;
    put_at_last(&cluster.clients(leader), "after a restart", "v").await;
    all_at(&cluster, "3.6.0", "3.6.0").await;
    assert_eq!(downgrade(&cluster, leader, DowngradeAction::Cancel, "").await, "3.6");
    all_at(&cluster, "3.7.0", "").await;
    cluster.assert_equal().await;
}

/// A downgrade that is requested from a member of one program, with a leader of another.
async fn of_two_programs<P: Program, Q: Program>(leader: usize, through: usize) {
    let prepared = Members::<P>::prepare(&Setup::of(3)).await;
    let mut cluster = prepared.unwrap_or_else(|error| panic!("failed to {error}"));
    cluster.run_as::<Q>(2).await;
    for number in 0..3 {
        cluster.spawn(number);
    }
    for number in 0..3 {
        cluster.ready(number).await;
    }
    all_at(&cluster, "3.7.0", "").await;
    lead(&cluster, leader).await;
    assert_eq!(downgrade(&cluster, through, DowngradeAction::Enable, "3.6").await, "3.7");
    all_at(&cluster, "3.6.0", "3.6.0").await;
    put(&cluster.clients(through), "at 3.6", "v").await.expect("every member takes puts");
    cluster.assert_equal().await;
    assert_eq!(downgrade(&cluster, leader, DowngradeAction::Cancel, "").await, "3.6");
    all_at(&cluster, "3.7.0", "").await;
    cluster.assert_equal().await;
}

/// A member of a later version does not join a cluster on its way down, and joins when that has ended.
async fn newcomer<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(1)).await;
    all_at(&cluster, "3.7.0", "").await;
    downgrade(&cluster, 0, DowngradeAction::Enable, "3.6").await;
    all_at(&cluster, "3.6.0", "3.6.0").await;
    let new = cluster.add(0, true).await;
    cluster.spawn(new);
    let status = cluster.exited(new).await;
    assert!(!status.success(), "m{new} does not start");
    let logs = cluster.logs(new);
    assert!(logs.contains("incompatible with current running cluster"), "{logs}");
    downgrade(&cluster, 0, DowngradeAction::Cancel, "").await;
    cluster.restart(new).await;
    all_at(&cluster, "3.7.0", "").await;
}

on_every_program! {
    versions_fall_and_rise => down_and_up(),
    newcomer_waits_for_the_end => newcomer(),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_ferretcd_under_etcd() {
    if is_possible("a downgrade through ferretcd while etcd leads") {
        of_two_programs::<Ferretcd, Etcd37>(2, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_etcd_under_ferretcd() {
    if is_possible("a downgrade through etcd while ferretcd leads") {
        of_two_programs::<Etcd37, Ferretcd>(2, 0).await;
    }
}
