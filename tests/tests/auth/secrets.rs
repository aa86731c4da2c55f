//! Passwords and tokens are neither logged nor stored; but for the letters of a simple token, which the entry of its
//! login has, as in etcd.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ferretcd_api_proto::authpb::permission::Type::Readwrite;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{DEADLINE, until};
use ferretcd_tests::{Caller, Killable};
use tokio::time::sleep;

use crate::support::keys::SigningKey;
use crate::support::requests::{put, range, role_add, user_add, user_delete, user_grant, user_password};
use crate::support::{ROOT, role, root, started_with};

on_both! {
    passwords_and_tokens_leave_no_trace => traces(),
    signed_tokens_leave_no_trace => signed_traces(),
    tokens_that_end_leave_no_trace => ended(),
}

/// Passwords that can't be anything else.
const ROOTS: &str = "correct-horse-battery-staple";
const FIRST: &str = "first-unmistakable-password";
const SECOND: &str = "second-unmistakable-password";
const WRONG: &str = "wrong-unmistakable-password";
const BAD_TOKEN: &str = "unmistakable.garbage.token";

async fn traces<C: Killable>() {
    leave_none::<C>(&[]).await;
}

async fn signed_traces<C: Killable>() {
    let key = SigningKey::secret("a secret");
    leave_none::<C>(&[&key.flag()]).await;
}

/// Everything that takes a password or a token, on a server that logs all it can.
async fn leave_none<C: Killable>(flags: &[&str]) {
    let flags = [&["--log-level=debug"], flags].concat();
    let Some((mut cluster, caller)) = started_with::<C>("secrets in logs", &flags).await else { return };
    let mut secrets = [ROOTS, FIRST, SECOND, WRONG, BAD_TOKEN].map(str::to_owned).to_vec();
    secrets.extend(use_them(&caller).await);
    let found = stored(cluster.data_dir(), &secrets);
    assert!(found.is_empty(), "{found:?}");
    cluster.stop().await.expect("it stops");
    let found = stored(cluster.data_dir(), &secrets);
    assert!(found.is_empty(), "{found:?}");
    let logs = cluster.logs();
    for secret in &secrets {
        let line = logs.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in the log: {}", line.unwrap_or_default());
    }
}

/// etcd logs a token when its time is over.
async fn ended<C: Killable>() {
    const TTL: Duration = Duration::from_secs(1);
    let flags = ["--log-level=debug", &format!("--auth-token-ttl={}", TTL.as_secs())];
    let Some((mut cluster, caller)) = started_with::<C>("ended tokens in logs", &flags).await else { return };
    let root = root(&caller).await;
    until("the token ends", DEADLINE, async || {
        // Each attempt lengthens its life.
        sleep(TTL * 2).await;
        match root.call(range("a", "")).await {
            Ok(_) => Err("it is valid".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await;
    cluster.stop().await.expect("it stops");
    assert_eq!(cluster.logs().contains(root.token()), C::KIND.reference, "{}", C::KIND.name);
}

/// Returns the tokens.
async fn use_them(caller: &Caller) -> Vec<String> {
    caller.call(user_add(ROOT, ROOTS)).await.expect("auth is off");
    caller.call(user_add("alice", FIRST)).await.expect("auth is off");
    caller.call(user_grant(ROOT, ROOT)).await.expect("auth is off");
    // Errors must not repeat what they reject.
    let _ = caller.call(user_add("alice", WRONG)).await;
    let _ = caller.call(user_add("", WRONG)).await;
    let _ = caller.call(user_add("long", &WRONG.repeat(4))).await;
    let _ = caller.log_in("alice", FIRST).await;
    caller.call(pb::AuthEnableRequest {}).await.expect("there is a root user");
    let root = caller.log_in(ROOT, ROOTS).await.expect("it is the password");
    role(&root, "r", &[(Readwrite, "a", "")]).await;
    root.call(user_grant("alice", "r")).await.expect("both exist");
    let alice = caller.log_in("alice", FIRST).await.expect("it is the password");
    alice.call(range("a", "")).await.expect("it may read");
    let root = caller.log_in(ROOT, ROOTS).await.expect("it is the password");
    root.call(user_password("alice", SECOND)).await.expect("root may change it");
    let _ = root.call(user_password("nobody", WRONG)).await;
    let again = caller.log_in("alice", SECOND).await.expect("it is the new password");
    again.call(put("a")).await.expect("it may write");
    let _ = caller.log_in("alice", WRONG).await;
    let _ = caller.log_in("nobody", WRONG).await;
    let bad = caller.with_token(BAD_TOKEN);
    let _ = bad.call(range("a", "")).await;
    let _ = bad.call(put("a")).await;
    let _ = bad.call(role_add("s")).await;
    let _ = bad.call(pb::StatusRequest {}).await;
    let mut stream = bad.watch();
    stream.create(crate::support::requests::watch("a", "")).await;
    let _ = stream.next().await;
    let root = caller.log_in(ROOT, ROOTS).await.expect("it is the password");
    root.call(user_delete("alice")).await.expect("it exists");
    let _ = again.call(range("a", "")).await;
    [root, alice, again].map(|caller| caller.token().to_owned()).to_vec()
}

/// The files below a directory that have one of these texts, and which.
fn stored(dir: &Path, secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("the directory can be read") {
        let path = entry.expect("the directory can be read").path();
        if path.is_dir() {
            found.extend(stored(&path, secrets));
            continue;
        }
        // A running server may remove a file at any time.
        let bytes = fs::read(&path).unwrap_or_default();
        // Logs are allocated in advance.
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let bytes = &bytes[..used];
        for secret in secrets {
            if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                found.push(format!("{} has {secret}", path.display()));
            }
        }
    }
    found
}
