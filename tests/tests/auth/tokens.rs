//! Simple tokens: how they are sent, how long they live, and what ends them.

use std::time::{Duration, Instant};

use ferretcd_api_proto::authpb::permission::Type;
use ferretcd_api_proto::etcdserverpb::StatusRequest;
use ferretcd_tests::members::{DEADLINE, until};
use ferretcd_tests::{Caller, Killable};
use tokio::time::sleep;

use crate::support::requests::{put, range, user_add, user_delete, user_password};
use crate::support::setup::{log_in, user_with};
use crate::support::texts::{BAD_TOKEN, FAILED, NO_SUCH_USER, NO_USER, OK};
use crate::support::{PASSWORD, ends, outcome, root, started, started_with, user};

on_both! {
    tokens_have_a_form => form(),
    tokens_name_the_entry_before_their_own => index(),
    tokens_are_sent_in_either_field => fields(),
    every_login_has_a_token_of_its_own => several(),
    a_new_password_ends_tokens => new_password(),
    the_end_of_a_user_ends_tokens => deleted_user(),
    a_restart_ends_tokens => restarted(),
    tokens_live_as_long_as_they_are_used => sliding(),
    without_a_provider_there_are_no_tokens => no_provider(),
}

async fn form<C: Killable>() {
    let Some((_cluster, caller)) = started::<C>("the form of tokens").await else { return };
    let root = root(&caller).await;
    let (letters, index) = root.token().split_once('.').expect("there is a dot");
    assert!(letters.len() == 16 && letters.chars().all(|c| c.is_ascii_alphabetic()), "{letters}");
    assert!(index.parse::<u64>().is_ok_and(|index| index > 0), "{index}");
    for token in [letters, &format!("{letters}."), &format!("{}x", root.token()), &format!("{letters}.1")] {
        ends(caller.with_token(token).call(range("a", "")).await, BAD_TOKEN);
    }
    ends(root.call(range("a", "")).await, OK);
}

/// The members of a cluster have to derive the same token from the entry of a login.
async fn index<C: Killable>() {
    let Some((_cluster, caller)) = started::<C>("the index in tokens").await else { return };
    root(&caller).await;
    // An entry of the server's own may come between login and status.
    until("the status shows the entry of the login", DEADLINE, async || {
        let root = log_in(&caller, "root").await;
        let applied = root.call(StatusRequest {}).await.expect("root has logged in").raft_applied_index;
        let (_, index) = root.token().split_once('.').expect("there is a dot");
        match index.parse() == Ok(applied - 1) {
            true => Ok(()),
            false => Err(format!("index {index}, applied index {applied}")),
        }
    })
    .await;
}

async fn fields<C: Killable>() {
    let Some((_cluster, caller)) = started::<C>("where tokens are sent").await else { return };
    let root = root(&caller).await;
    let token = root.token();
    let bearer = format!("Bearer {token}");
    let with = |fields: &[(&'static str, &str)]| {
        let caller = caller.with(fields);
        async move { outcome(&caller.call(range("a", "")).await) }
    };
    assert_eq!(with(&[("token", token)]).await, OK);
    assert_eq!(with(&[("token", &bearer)]).await, OK);
    assert_eq!(with(&[("authorization", token)]).await, OK);
    assert_eq!(with(&[("authorization", &bearer)]).await, OK);
    assert_eq!(with(&[("authorization", &format!("bearer {token}"))]).await, BAD_TOKEN);
    assert_eq!(with(&[("authorization", &format!("Bearer  {token}"))]).await, BAD_TOKEN);
    // The field `token` is looked at first, and of several fields the first.
    assert_eq!(with(&[("token", token), ("authorization", "garbage")]).await, OK);
    assert_eq!(with(&[("token", "garbage"), ("authorization", token)]).await, BAD_TOKEN);
    assert_eq!(with(&[("token", token), ("token", "garbage")]).await, OK);
    assert_eq!(with(&[("token", "garbage"), ("token", token)]).await, BAD_TOKEN);
    assert_eq!(with(&[("token", "")]).await, BAD_TOKEN);
    assert_eq!(with(&[("another", token)]).await, NO_USER);
}

async fn several<C: Killable>() {
    let Some((_cluster, caller)) = started::<C>("several tokens of a user").await else { return };
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[(Type::Readwrite, "a", "")]).await;
    let again = log_in(&caller, "alice").await;
    assert_ne!(alice.token(), again.token());
    ends(alice.call(put("a")).await, OK);
    ends(again.call(put("a")).await, OK);
    ends(caller.log_in("alice", "another").await, FAILED);
    ends(caller.log_in("alice", "").await, FAILED);
    ends(caller.log_in("nobody", PASSWORD).await, FAILED);
    // A failed login does no harm to the tokens that there are.
    ends(alice.call(put("a")).await, OK);
    // A login looks at no token.
    ends(caller.with_token("garbage").log_in("alice", PASSWORD).await, OK);
}

async fn new_password<C: Killable>() {
    let Some((_cluster, caller)) = started::<C>("tokens after a new password").await else { return };
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[(Type::Readwrite, "a", "")]).await;
    let bob = user_with(&root, "bob", &[(Type::Readwrite, "a", "")]).await;
    let again = log_in(&caller, "alice").await;
    root.call(user_password("alice", "another")).await.expect("root may change it");
    ends(alice.call(put("a")).await, BAD_TOKEN);
    ends(again.call(put("a")).await, BAD_TOKEN);
    ends(bob.call(put("a")).await, OK);
    ends(caller.log_in("alice", PASSWORD).await, FAILED);
    let alice = caller.log_in("alice", "another").await.expect("it is the new one");
    ends(alice.call(put("a")).await, OK);
}

async fn deleted_user<C: Killable>() {
    let Some((_cluster, caller)) = started::<C>("tokens of a deleted user").await else { return };
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[(Type::Readwrite, "a", "")]).await;
    root.call(user_delete("alice")).await.expect("root may delete it");
    ends(alice.call(put("a")).await, BAD_TOKEN);
    ends(caller.log_in("alice", PASSWORD).await, FAILED);
    ends(root.call(user_delete("alice")).await, NO_SUCH_USER);
    // A new user of that name is another one.
    user(&root, "alice", &["alice"]).await;
    ends(alice.call(put("a")).await, BAD_TOKEN);
    ends(log_in(&caller, "alice").await.call(put("a")).await, OK);
}

async fn restarted<C: Killable>() {
    let Some((mut cluster, caller)) = started::<C>("tokens after a restart").await else { return };
    let root = root(&caller).await;
    ends(root.call(put("a")).await, OK);
    cluster.stop().await.expect("it stops");
    cluster.restart().await.expect("it starts again");
    let caller = Caller::of(&cluster.endpoint());
    ends(caller.with_token(root.token()).call(range("a", "")).await, BAD_TOKEN);
    ends(log_in(&caller, "root").await.call(range("a", "")).await, OK);
}

/// A token is used for much longer than its time, then left alone.
async fn sliding<C: Killable>() {
    const TTL: Duration = Duration::from_secs(2);
    let flag = format!("--auth-token-ttl={}", TTL.as_secs());
    let Some((_cluster, caller)) = started_with::<C>("the time of tokens", &[&flag]).await else { return };
    let root = root(&caller).await;
    let (used, unused) = (log_in(&caller, "root").await, log_in(&caller, "root").await);
    let begun = Instant::now();
    let mut again = tokio::time::interval(TTL / 20);
    while begun.elapsed() < TTL * 2 + Duration::from_secs(1) {
        again.tick().await;
        ends(used.call(range("a", "")).await, OK);
    }
    // Servers look for old tokens once a second.
    ends(unused.call(range("a", "")).await, BAD_TOKEN);
    ends(root.call(range("a", "")).await, BAD_TOKEN);
    // Each attempt would lengthen its life, so there is time between them.
    until("a token that is not used ends", Duration::from_secs(20), async || {
        sleep(TTL + Duration::from_secs(1)).await;
        match outcome(&used.call(range("a", "")).await) {
            outcome if outcome == BAD_TOKEN => Ok(()),
            outcome => Err(outcome),
        }
    })
    .await;
    ends(caller.log_in("root", PASSWORD).await, OK);
}

async fn no_provider<C: Killable>() {
    let Some((_cluster, caller)) = started_with::<C>("no tokens", &["--auth-token="]).await else { return };
    caller.call(user_add("root", PASSWORD)).await.expect("auth is off");
    caller.call(crate::support::requests::user_grant("root", "root")).await.expect("auth is off");
    let enable = ferretcd_api_proto::etcdserverpb::AuthEnableRequest {};
    ends(caller.call(enable).await, OK);
    ends(caller.log_in("root", PASSWORD).await, FAILED);
    ends(caller.call(range("a", "")).await, NO_USER);
    ends(caller.with_token("abcdefghijklmnop.1").call(range("a", "")).await, BAD_TOKEN);
}
