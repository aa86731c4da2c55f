//! ferretcd and etcd 3.7 in one cluster: wire and log are compatible.

use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{LeaseGrantRequest, LeaseLeasesRequest, MoveLeaderRequest};
use ferretcd_tests::members::history::Workload;
use ferretcd_tests::members::{Members, Setup, until};
use ferretcd_tests::{Etcd37, Ferretcd, Process, Program, report};

use super::snapshots::SHORT_LOG;
use super::support::{get, judge, put, put_at_last};

pub(crate) fn is_possible(what: &str) -> bool {
    report::available::<Process<Etcd37>>(what) && report::available::<Process<Ferretcd>>(what)
}

/// Three members: the last one runs `Q`, the others run `P`.
async fn start<P: Program, Q: Program>() -> Members<P> {
    let prepared = Members::<P>::prepare(&Setup::of(3).with(SHORT_LOG)).await;
    let mut cluster = prepared.unwrap_or_else(|error| panic!("failed to {error}"));
    cluster.run_as::<Q>(2).await;
    for number in 0..3 {
        cluster.spawn(number);
    }
    for number in 0..3 {
        cluster.ready(number).await;
    }
    cluster
}

/// Makes a member the leader, and waits until all members know that and its term.
pub(crate) async fn lead<P: Program>(cluster: &Members<P>, number: usize) {
    let (leader, term) = cluster.leader_and_term().await;
    if leader != number {
        let request = MoveLeaderRequest { target_id: cluster.id(number) };
        let moved = cluster.clients(leader).maintenance.move_leader(request).await;
        moved.unwrap_or_else(|status| panic!("m{number} does not take over from m{leader}: {status}"));
        cluster.leader_after(&cluster.running(), term).await;
    }
}

/// Each member leads and is killed once under load, and comes back with a snapshot. All responses are consistent.
async fn live_together<P: Program, Q: Program>() {
    let mut cluster = start::<P, Q>().await;
    let load = Workload::default().begin(&cluster.client_urls(&[0, 1, 2]));
    for number in 0..3 {
        load.changes(20).await;
        lead(&cluster, number).await;
        load.changes(20).await;
        cluster.kill9(number).await;
        // Many more entries than the log keeps.
        load.changes(200).await;
        cluster.restart(number).await;
    }
    load.changes(20).await;
    let history = load.finish().await;
    judge(&cluster, &history, &format!("two {} and one {}", P::KIND.name, Q::KIND.name)).await;
}

/// Under load, one member after the other is replaced by one that runs the other program.
async fn replaced<P: Program, Q: Program>() {
    let setup = Setup::of(3).with(SHORT_LOG).with(&["--strict-reconfig-check=false"]);
    let mut cluster = Members::<P>::start(&setup).await;
    put(&cluster.clients(0), "first", "v").await.expect("every member takes puts");
    for old in 0..3 {
        let through = cluster.running()[1];
        let new = cluster.add(through, false).await;
        cluster.run_as::<Q>(new).await;
        cluster.restart(new).await;
        put_at_last(&cluster.clients(new), &format!("with{new}"), "v").await;
        cluster.remove(new, old).await;
        let status = cluster.exited(old).await;
        assert!(status.success(), "m{old} was removed and ends in peace: {status}");
        for index in 0..60 {
            put_at_last(&cluster.clients(new), &format!("key{index}"), &old.to_string()).await;
        }
        cluster.assert_equal().await;
    }
    for number in cluster.running() {
        for key in ["first", "with3", "with4", "with5"] {
            let found = get(&cluster.clients(number), key, false).await.expect("every member takes reads");
            assert_eq!(found.as_deref(), Some("v"), "{key} through m{number}");
        }
    }
    for number in cluster.running() {
        cluster.kill9(number).await;
    }
    for number in 3..6 {
        cluster.spawn(number);
    }
    for number in 3..6 {
        cluster.ready(number).await;
    }
    cluster.assert_equal().await;
}

/// A voter that runs `P` and is added through ferretcd while etcd leads votes after a while.
async fn added_under_etcd<P: Program>() {
    let mut cluster = start::<Ferretcd, Etcd37>().await;
    lead(&cluster, 2).await;
    let new = cluster.add(0, false).await;
    cluster.run_as::<P>(new).await;
    cluster.restart(new).await;
    put_at_last(&cluster.clients(new), "through the new one", "v").await;
    assert_eq!(cluster.leader().await, 2, "no other member was needed");
    cluster.assert_equal().await;
}

/// A ferretcd leader revokes leases that expire together with entries that etcd can apply.
async fn leases_end_under_ferretcd() {
    let cluster = start::<Etcd37, Ferretcd>().await;
    lead(&cluster, 2).await;
    let mut clients = cluster.clients(0);
    for id in 1..=5 {
        clients.lease.lease_grant(LeaseGrantRequest { id, ttl: 2 }).await.expect("every member grants");
    }
    until("the leases end", Duration::from_secs(15), async || {
        let listed = cluster.clients(0).lease.lease_leases(LeaseLeasesRequest {}).await;
        match listed.map_err(|status| status.to_string())?.into_inner().leases.len() {
            0 => Ok(()),
            n => Err(format!("{n} are left")),
        }
    })
    .await;
    for number in 0..3 {
        put_at_last(&cluster.clients(number), &format!("through{number}"), "v").await;
    }
    cluster.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_among_etcd() {
    if is_possible("leases that end among etcd") {
        leases_end_under_ferretcd().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ferretcd_among_etcd() {
    if is_possible("one ferretcd among etcd") {
        live_together::<Etcd37, Ferretcd>().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_among_ferretcd() {
    if is_possible("one etcd among ferretcd") {
        live_together::<Ferretcd, Etcd37>().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_etcd_to_ferretcd() {
    if is_possible("members of etcd replaced by ferretcd") {
        replaced::<Etcd37, Ferretcd>().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_ferretcd_to_etcd() {
    if is_possible("members of ferretcd replaced by etcd") {
        replaced::<Ferretcd, Etcd37>().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ferretcd_is_added_under_etcd() {
    if is_possible("ferretcd added while etcd leads") {
        added_under_etcd::<Ferretcd>().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_is_added_under_etcd() {
    if is_possible("etcd added while etcd leads") {
        added_under_etcd::<Etcd37>().await;
    }
}
