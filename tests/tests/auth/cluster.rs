//! Users, roles and tokens on several members, also of both programs.

use ferretcd_api_proto::authpb::permission::Type::{Readwrite, Write};
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{Members, Setup};
use ferretcd_tests::{Caller, Etcd37, Ferretcd, Process, Program, on_every_program, report};

use crate::support::keys::SigningKey;
use crate::support::requests::{
    put, range, role_delete, role_get, role_revoke, user_add, user_delete, user_get, user_password,
    user_revoke,
};
use crate::support::setup::{FAST_HASHES, log_in, user_with};
use crate::support::texts::{BAD_TOKEN, DENIED, NO_USER, OK};
use crate::support::{PASSWORD, ROOT, ends, grant, outcome, role, root, user};

on_every_program! {
    every_member_takes_the_tokens_of_the_others => tokens(),
    a_member_that_was_down_knows_the_changes => latecomer(),
    a_snapshot_brings_users_and_roles => snapshot(),
}

/// Entries that a log keeps: few, so that members that were down get a snapshot.
const SHORT_LOG: &[&str] = &["--snapshot-count=50", "--snapshot-catchup-entries=20"];
const MORE_THAN_THE_LOG: usize = 300;

fn setup() -> Setup {
    Setup::of(3).with(&[FAST_HASHES]).asked_by(ROOT, PASSWORD)
}

fn callers<P: Program>(cluster: &Members<P>) -> Vec<Caller> {
    cluster.client_urls(&[0, 1, 2]).iter().map(|url| Caller::of(url)).collect()
}

/// Waits until the members of etcd have applied the logins so far.
///
/// The index in etcd's simple tokens is that of the entry before the login's, and a member waits no further: one that
/// has applied exactly that much rejects the token (3.7.1). ferretcd waits for the login itself, so nothing is done
/// for its members.
async fn applied_by_etcd<P: Program>(callers: &[Caller]) {
    if P::KIND.reference {
        for caller in callers {
            // The member answers a request through the log once it has applied it.
            caller.call(pb::AuthStatusRequest {}).await.expect("it needs no login");
        }
    }
}

/// A token of one member is good on all, at once; so is its end.
async fn tokens<P: Program>() {
    let cluster = Members::<P>::start(&setup()).await;
    let callers = callers(&cluster);
    root(&callers[0]).await;
    for (issuer, caller) in callers.iter().enumerate() {
        let name = format!("user{issuer}");
        let root = log_in(caller, ROOT).await;
        let token = user_with(&root, &name, &[(Readwrite, "a", "")]).await.token().to_owned();
        applied_by_etcd::<P>(&callers).await;
        for other in &callers {
            let user = other.with_token(&token);
            ends(user.call(put("a")).await, OK);
            ends(user.call(range("a", "")).await, OK);
            ends(user.call(put("b")).await, DENIED);
            ends(user.call(pb::StatusRequest {}).await, OK);
        }
        let next = log_in(&callers[(issuer + 1) % 3], ROOT).await;
        next.call(user_password(&name, "another")).await.expect("root may change it");
        for other in &callers {
            // A member has applied the change before it serves this read, and looks at the token afterwards.
            ends(other.with_token(&token).call(range("a", "")).await, BAD_TOKEN);
        }
    }
    let root = log_in(&callers[2], ROOT).await;
    root.call(pb::AuthDisableRequest {}).await.expect("root may disable it");
    for caller in &callers {
        ends(caller.call(range("a", "")).await, OK);
    }
    cluster.assert_equal().await;
}

/// What a member finds in its log when it comes back.
async fn latecomer<P: Program>() {
    let mut cluster = Members::<P>::start(&setup()).await;
    let callers = callers(&cluster);
    let root = root(&callers[0]).await;
    let late = cluster.follower().await;
    let through = (late + 1) % 3;
    cluster.kill9(late).await;
    cluster.leader().await;
    applied_by_etcd::<P>(&callers[through..=through]).await;
    let root = callers[through].with_token(root.token());
    let alice = user_with(&root, "alice", &[(Write, "a", "")]).await;
    cluster.restart(late).await;
    let there = &callers[late];
    ends(there.call(range("a", "")).await, NO_USER);
    // It has got the login with the log: a token is known to each member that applies it.
    ends(there.with_token(alice.token()).call(put("a")).await, OK);
    ends(there.with_token(alice.token()).call(range("a", "")).await, DENIED);
    ends(log_in(there, "alice").await.call(put("a")).await, OK);
    cluster.assert_equal().await;
}

/// What a member finds in a snapshot, after the log has ended elsewhere.
async fn snapshot<P: Program>() {
    let mut cluster = Members::<P>::start(&setup().with(SHORT_LOG)).await;
    let callers = callers(&cluster);
    let late = cluster.follower().await;
    let through = cluster.leader().await;
    cluster.kill9(late).await;
    let root = root(&callers[through]).await;
    let alice = user_with(&root, "alice", &[(Write, "a", "")]).await;
    for _ in 0..MORE_THAN_THE_LOG {
        alice.call(put("a")).await.expect("it may write");
    }
    cluster.restart(late).await;
    let there = &callers[late];
    ends(there.call(range("a", "")).await, NO_USER);
    ends(there.with_token(alice.token()).call(range("a", "")).await, BAD_TOKEN);
    let alice = log_in(there, "alice").await;
    ends(alice.call(put("a")).await, OK);
    ends(alice.call(put("b")).await, DENIED);
    cluster.assert_equal().await;
}

fn is_possible(what: &str) -> bool {
    report::available::<Process<Etcd37>>(what) && report::available::<Process<Ferretcd>>(what)
}

/// Two members of one program and one of the other.
async fn mixed<P: Program, Q: Program>(flags: &[&str]) -> Members<P> {
    let prepared = Members::<P>::prepare(&setup().with(flags)).await;
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

/// Each change is made through one member and seen by all.
async fn managed<P: Program, Q: Program>(flags: &[&str]) {
    let cluster = mixed::<P, Q>(flags).await;
    let callers = callers(&cluster);
    root(&callers[0]).await;
    for (number, caller) in callers.iter().enumerate() {
        let (name, next) = (format!("user{number}"), &callers[(number + 1) % 3]);
        let root = log_in(caller, ROOT).await;
        role(&root, &name, &[(Readwrite, "a", "c")]).await;
        user(&root, &name, &[&name]).await;
        check::<P, Q>(&callers, &name, PASSWORD, OK).await;

        let root = log_in(next, ROOT).await;
        root.call(user_password(&name, "another")).await.expect("root may change it");
        check::<P, Q>(&callers, &name, "another", OK).await;
        root.call(role_revoke(&name, "a", "c")).await.expect("it is granted");
        check::<P, Q>(&callers, &name, "another", DENIED).await;
        grant(&root, &name, Readwrite, "a", "").await;
        check::<P, Q>(&callers, &name, "another", OK).await;
        root.call(user_revoke(&name, &name)).await.expect("it is granted");
        check::<P, Q>(&callers, &name, "another", DENIED).await;
        for caller in &callers {
            let root = log_in(caller, ROOT).await;
            assert_eq!(root.call(user_get(&name)).await.expect("it exists").roles, [""; 0]);
            assert_eq!(root.call(role_get(&name)).await.expect("it exists").perm.len(), 1);
        }
        root.call(role_delete(&name)).await.expect("it exists");
        root.call(user_delete(&name)).await.expect("it exists");
    }
    let root = log_in(&callers[2], ROOT).await;
    root.call(user_add("last", PASSWORD)).await.expect("root may add users");
    let mut revisions = Vec::new();
    for caller in &callers {
        let status = caller.call(pb::AuthStatusRequest {}).await.expect("it needs no login");
        revisions.push((status.enabled, status.auth_revision));
    }
    assert!(revisions.iter().all(|seen| *seen == revisions[0]), "{revisions:?}");
    cluster.assert_equal().await;
}

/// The user logs in through each member, and each token gets this outcome on all of them.
async fn check<P: Program, Q: Program>(callers: &[Caller], name: &str, password: &str, expected: &str) {
    for (issuer, through) in callers.iter().enumerate() {
        let user = through.log_in(name, password).await.expect("every member knows the password");
        applied_by_etcd::<P>(&callers[..2]).await;
        applied_by_etcd::<Q>(&callers[2..]).await;
        for (number, caller) in callers.iter().enumerate() {
            let user = caller.with_token(user.token());
            let what = format!("a token of m{issuer} on m{number}, {}", user.token());
            assert_eq!(outcome(&user.call(put("a")).await), expected, "{what}");
            assert_eq!(outcome(&user.call(range("a", "")).await), expected, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_among_ferretcd_with_simple_tokens() {
    if is_possible("users of one etcd among ferretcd") {
        managed::<Ferretcd, Etcd37>(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ferretcd_among_etcd_with_simple_tokens() {
    if is_possible("users of one ferretcd among etcd") {
        managed::<Etcd37, Ferretcd>(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_among_ferretcd_with_signed_tokens() {
    if is_possible("signed tokens of one etcd among ferretcd") {
        let key = SigningKey::pair("RS256", &rcgen::PKCS_RSA_SHA256);
        managed::<Ferretcd, Etcd37>(&[&key.flag()]).await;
    }
}
