//! Clusters whose peers use TLS.

use ferretcd_testkit::certificates::{Authority, Files};
use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Etcd37, Ferretcd, Program, on_every_program};

use super::mixed::{is_possible, lead};
use super::snapshots::{SHORT_LOG, fill, received};
use super::support::{get, put_at_last};

/// The common name in the certificates of members.
const MEMBER: &str = "member";

/// A certificate for the address of a member and for the source address of its connections on the loopback device.
fn sign<P: Program>(authority: &Authority, cluster: &Members<P>, number: usize, common_name: &str) -> Files {
    let address = cluster.address(number).to_string();
    authority.sign(common_name, &[&address, "127.0.0.1"], number as u64 + 1)
}

/// The flags of a member that uses this certificate, and requires peers to have one of the authority.
fn secured(files: &Files, authority: &Authority) -> Vec<String> {
    let ask = ["--peer-client-cert-auth".to_owned()];
    [&files.peer_flags()[..], &authority.peer_trusted(), &ask].concat()
}

/// Three members with a certificate each, not started.
async fn prepare<P: Program>(authority: &Authority, flags: &[&str]) -> (Members<P>, Vec<Files>) {
    let prepared = Members::<P>::prepare(&Setup::of(3).secured().with(flags)).await;
    let mut cluster = prepared.unwrap_or_else(|error| panic!("failed to {error}"));
    let files: Vec<_> = (0..3).map(|number| sign(authority, &cluster, number, MEMBER)).collect();
    for (number, files) in files.iter().enumerate() {
        cluster.give(number, &secured(files, authority));
    }
    (cluster, files)
}

async fn start<P: Program>(cluster: &mut Members<P>) {
    for number in 0..3 {
        cluster.spawn(number);
    }
    for number in 0..3 {
        cluster.ready(number).await;
    }
}

/// Each of these members takes a write, and each serves linearizable reads of all these writes.
async fn assert_served<P: Program>(cluster: &Members<P>, numbers: &[usize], when: &str) {
    let key = |number: usize| format!("{when}/{number}");
    for &number in numbers {
        put_at_last(&cluster.clients(number), &key(number), "v").await;
    }
    for &number in numbers {
        for &other in numbers {
            let found = get(&cluster.clients(number), &key(other), false).await;
            let found = found.unwrap_or_else(|status| panic!("m{number} takes no reads: {status}"));
            assert_eq!(found.as_deref(), Some("v"), "{} through m{number}", key(other));
        }
    }
}

/// Two members serve while the third one is dead, which catches up from the log afterwards.
async fn outlive<P: Program>(cluster: &mut Members<P>, dead: usize) {
    let others: Vec<_> = (0..3).filter(|&number| number != dead).collect();
    cluster.kill9(dead).await;
    // A request forwarded to a dead leader is lost.
    cluster.leader_among(&others).await;
    assert_served(cluster, &others, "without one").await;
    cluster.restart(dead).await;
    assert_served(cluster, &[0, 1, 2], "with all again").await;
    cluster.assert_equal().await;
}

async fn form<P: Program>() {
    let authority = Authority::new();
    let (mut cluster, _) = prepare::<P>(&authority, &[]).await;
    start(&mut cluster).await;
    assert_served(&cluster, &[0, 1, 2], "first").await;
    let leader = cluster.leader().await;
    outlive(&mut cluster, leader).await;
}

/// Makes a member miss more entries than the leader's log keeps.
async fn send_snapshot<P: Program>(cluster: &mut Members<P>, from: usize, to: usize) {
    lead(cluster, from).await;
    cluster.kill9(to).await;
    fill(cluster, from, "many/").await;
    cluster.restart(to).await;
    assert!(received(cluster, to).await > 0, "m{to} has got no snapshot");
    assert_served(cluster, &[0, 1, 2], &format!("to m{to}")).await;
    cluster.assert_equal().await;
}

async fn get_snapshots<P: Program>() {
    let authority = Authority::new();
    let (mut cluster, _) = prepare::<P>(&authority, SHORT_LOG).await;
    start(&mut cluster).await;
    send_snapshot(&mut cluster, 0, 1).await;
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Authority,
    Name,
}

impl Wrong {
    /// The error of members that reject it.
    fn reason(self) -> &'static str {
        match self {
            Wrong::Authority => "x509: certificate signed by unknown authority",
            Wrong::Name => "client certificate authentication failed",
        }
    }
}

/// Whether one line has all of these words.
fn has_line(text: &str, words: &[&str]) -> bool {
    text.lines().any(|line| words.iter().all(|word| line.contains(word)))
}

/// The members that have published their client URLs, as the first member lists them. A member outside the cluster
/// can't publish; every other field of the founders is known from the start.
async fn published<P: Program>(cluster: &Members<P>) -> Vec<usize> {
    let listed = cluster.list(0).await.unwrap_or_else(|status| panic!("m0 lists no members: {status}"));
    let has_published = |number: &usize| {
        let own = [cluster.peer_url(*number)];
        let member = listed.iter().find(|member| member.peer_urls == own);
        !member.unwrap_or_else(|| panic!("m{number} is none of {listed:?}")).client_urls.is_empty()
    };
    (0..cluster.count()).filter(has_published).collect()
}

/// A member with a wrong certificate never joins, and both sides log the reason; the others go on.
async fn reject<P: Program>(wrong: Wrong) {
    let (authority, other) = (Authority::new(), Authority::named("another"));
    let allowed = format!("--peer-cert-allowed-cn={MEMBER}");
    let flags = if wrong == Wrong::Name { &[allowed.as_str()][..] } else { &[] };
    let (mut cluster, files) = prepare::<P>(&authority, flags).await;
    let shown = match wrong {
        Wrong::Authority => sign(&other, &cluster, 2, MEMBER),
        Wrong::Name => sign(&authority, &cluster, 2, "not-a-member"),
    };
    cluster.give(2, &secured(&shown, &authority));
    for number in 0..3 {
        cluster.spawn(number);
    }
    cluster.ready(0).await;
    cluster.ready(1).await;
    until("both sides say why", DEADLINE, async || {
        let reason = wrong.reason();
        let rejected = "rejected connection on peer endpoint";
        let is_told = has_line(&cluster.logs(0), &[rejected, reason])
            && has_line(&cluster.logs(2), &[rejected, "remote error: tls: bad certificate"]);
        is_told.then_some(()).ok_or_else(|| format!("no `{rejected}` because of `{reason}`"))
    })
    .await;
    assert_served(&cluster, &[0, 1], "without the rejected member").await;
    assert_eq!(published(&cluster).await, [0, 1], "before the others let it in");
    // With a valid certificate it joins.
    cluster.kill9(2).await;
    cluster.give(2, &secured(&files[2], &authority));
    cluster.restart(2).await;
    assert_eq!(published(&cluster).await, [0, 1, 2]);
    assert_served(&cluster, &[0, 1, 2], "with a right one").await;
    cluster.assert_equal().await;
}

/// The others use their new certificates without a restart: a member that accepts only new ones can join them.
async fn exchange<P: Program>() {
    const NEW: &str = "new-member";
    let authority = Authority::new();
    let (mut cluster, files) = prepare::<P>(&authority, &[]).await;
    start(&mut cluster).await;
    for (number, old) in files.iter().enumerate() {
        sign(&authority, &cluster, number, NEW).replace(old);
    }
    let asking = cluster.follower().await;
    cluster.kill9(asking).await;
    cluster.spawn_with(asking, &[&format!("--peer-cert-allowed-cn={NEW}")]);
    cluster.ready(asking).await;
    assert_served(&cluster, &[0, 1, 2], "with new ones").await;
    cluster.assert_equal().await;
}

/// Members that generate their own certificates and verify none.
async fn make_their_own<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3).secured().with(&["--peer-auto-tls"])).await;
    for number in 0..3 {
        let made = cluster.data_dir(number).join("fixtures/peer/cert.pem");
        assert!(made.is_file(), "m{number} has no {}", made.display());
    }
    assert_served(&cluster, &[0, 1, 2], "first").await;
    let follower = cluster.follower().await;
    outlive(&mut cluster, follower).await;
}

on_every_program! {
    peers_verify_certificates => form(),
    snapshots_go_through_tls => get_snapshots(),
    a_peer_certificate_of_another_authority_is_rejected => reject(super::Wrong::Authority),
    a_peer_certificate_with_another_name_is_rejected => reject(super::Wrong::Name),
    peer_certificates_are_reloaded => exchange(),
    peers_generate_certificates => make_their_own(),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ferretcd_and_etcd_form_an_encrypted_cluster() {
    if is_possible("TLS between two ferretcd and one etcd") {
        let authority = Authority::new();
        let (mut cluster, _) = prepare::<Ferretcd>(&authority, SHORT_LOG).await;
        cluster.run_as::<Etcd37>(2).await;
        start(&mut cluster).await;
        assert_served(&cluster, &[0, 1, 2], "first").await;
        send_snapshot(&mut cluster, 0, 2).await;
        send_snapshot(&mut cluster, 2, 0).await;
    }
}
