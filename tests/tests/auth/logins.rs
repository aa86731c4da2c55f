//! Logins whose hash takes for ever.

use std::thread::available_parallelism;

use ferretcd_tests::{Caller, Cluster, Metrics, Options, report};
use tokio::task::JoinSet;

use crate::support::requests::user_add;
use crate::support::texts::{FAILED, OK};
use crate::support::{PASSWORD, ends, root, started};

on_both! {
    cancelled_logins_hold_up_no_others => cancelled(),
}

/// Hashes of this cost, the highest, take days. No rpc takes a hash, so it is that of users that do not exist.
const ENDLESS: &str = "--bcrypt-cost=31";

/// More than a server has threads for passwords.
fn n_logins() -> usize {
    4 * available_parallelism().map_or(1, |n| n.get())
}

/// The metric of logins that have begun.
const BEGUN: &str = r#"grpc_server_started_total{grpc_method="Authenticate",grpc_service="etcdserverpb.Auth",grpc_type="unary"}"#;

async fn cancelled<C: Cluster>() {
    if C::KIND.reference {
        return report::skipped("cancelled logins", "etcd goes on with the hash of a client that has gone");
    }
    let Some((mut first, caller)) = started::<C>("cancelled logins").await else { return };
    let users = ["alice", "bob"];
    let administrator = root(&caller).await;
    for user in users {
        administrator.call(user_add(user, PASSWORD)).await.expect("root may add users");
    }
    first.stop().await.expect("it stops");
    // The hashes of these users stay cheap. No login of theirs is remembered.
    let data_dir = format!("--data-dir={}", first.data_dir().display());
    let flags = vec![data_dir, ENDLESS.to_owned()];
    let cluster = C::start(&Options { flags }).await.unwrap_or_else(|error| panic!("failed to {error}"));
    let caller = Caller::of(&cluster.endpoint());
    // The calls are reset, on a connection that goes on.
    let mut logins = begun(&cluster, &caller, 1).await;
    logins.shutdown().await;
    ends(caller.log_in("alice", PASSWORD).await, OK);
    ends(caller.log_in("alice", "wrong").await, FAILED);
    // The connection ends with its calls.
    let other = Caller::of(&cluster.endpoint());
    let mut logins = begun(&cluster, &other, 2).await;
    drop(other);
    logins.shutdown().await;
    ends(caller.log_in("bob", PASSWORD).await, OK);
}

/// Begins logins of a user that does not exist, and waits until the server has them all, as it has `times` by now.
async fn begun(cluster: &impl Cluster, caller: &Caller, times: u32) -> JoinSet<()> {
    let before = Metrics::of(cluster).await.expect("it serves metrics").get(BEGUN).unwrap_or_default();
    assert!(times == 1 || before > 0.0, "there is no metric {BEGUN}");
    let mut logins = JoinSet::new();
    for _ in 0..n_logins() {
        let caller = caller.clone();
        logins.spawn(async move {
            let response = caller.log_in("stranger", PASSWORD).await;
            panic!("the hash does not take long: {:?}", response.map(|caller| caller.token().to_owned()));
        });
    }
    let n = f64::from(u32::try_from(n_logins()).expect("few"));
    let all = |metrics: &Metrics| metrics.get(BEGUN).unwrap_or_default() >= before + n;
    Metrics::until(cluster, "the beginning of all logins", all).await;
    assert!(logins.try_join_next().is_none(), "a login has ended");
    logins
}
