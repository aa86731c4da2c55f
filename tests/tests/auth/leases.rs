//! Rights that leases need: those to the keys that are attached to them.

use ferretcd_api_proto::authpb::permission::Type::{Read, Readwrite, Write};
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Caller, Cluster};
use tonic::Status;

use crate::support::requests::{delete, lease, put, put_lease, range, revoke, time_to_live, user_grant};
use crate::support::setup::user_with;
use crate::support::texts::{BAD_TOKEN, DENIED, NO_USER, OK};
use crate::support::{ROOT, ends, root, started};

on_both! {
    keys_are_attached_to_writable_leases => attached(),
    leases_are_revoked_by_writers => revoked(),
    leases_are_kept_by_writers => kept(),
    keys_are_shown_to_readers => shown(),
    leases_are_listed_for_readers_of_all => listed(),
    leases_end_by_themselves => expired(),
}

const OWN: i64 = 1;
const OTHER: i64 = 2;
const NO_KEYS: i64 = 3;

/// Leases with a key that users below may write, with another, and with none.
async fn granted<C: Cluster>(what: &str) -> Option<(C, Caller, Caller)> {
    let (cluster, caller) = started::<C>(what).await?;
    let root = root(&caller).await;
    for (id, key) in [(OWN, Some("a")), (OTHER, Some("other")), (NO_KEYS, None)] {
        root.call(lease(id)).await.expect("root may grant leases");
        if let Some(key) = key {
            root.call(put_lease(key, id)).await.expect("root may attach keys");
        }
    }
    Some((cluster, caller, root))
}

/// Renews a lease once, on a stream of its own.
async fn renew(caller: &Caller, id: i64) -> Result<i64, Status> {
    let response = caller.renew(&[id]).await?.next().await?;
    Ok(response.expect("the stream goes on").ttl)
}

async fn attached<C: Cluster>() {
    let Some((_cluster, caller, root)) = granted::<C>("attaching keys").await else { return };
    let alice = user_with(&root, "alice", &[(Readwrite, "a", "c")]).await;
    ends(caller.call(lease(10)).await, NO_USER);
    ends(caller.with_token("garbage").call(lease(10)).await, BAD_TOKEN);
    ends(alice.call(lease(10)).await, OK);
    ends(alice.call(put_lease("b", 10)).await, OK);
    ends(alice.call(put_lease("b", OWN)).await, OK);
    ends(alice.call(put_lease("b", NO_KEYS)).await, OK);
    ends(alice.call(put_lease("b", OTHER)).await, DENIED);
    // The right to the key is not enough once another's key has been attached.
    root.call(put_lease("other2", OWN)).await.expect("root may attach keys");
    ends(alice.call(put_lease("b", OWN)).await, DENIED);
    root.call(delete("other2", "")).await.expect("root may delete");
    ends(alice.call(put_lease("b", OWN)).await, OK);
    ends(root.call(put_lease("b", OTHER)).await, OK);
}

async fn revoked<C: Cluster>() {
    let Some((_cluster, caller, root)) = granted::<C>("revoking leases").await else { return };
    let alice = user_with(&root, "alice", &[(Write, "a", "c")]).await;
    let reader = user_with(&root, "reader", &[(Read, "a", "z")]).await;
    for id in [OWN, OTHER, NO_KEYS] {
        ends(caller.call(revoke(id)).await, NO_USER);
        ends(caller.with_token("garbage").call(revoke(id)).await, BAD_TOKEN);
    }
    ends(reader.call(revoke(OWN)).await, DENIED);
    ends(alice.call(revoke(OTHER)).await, DENIED);
    ends(alice.call(revoke(OWN)).await, OK);
    assert_eq!(root.call(range("a", "")).await.expect("root may read").count, 0);
    // A lease without keys is every user's.
    ends(reader.call(revoke(NO_KEYS)).await, OK);
    ends(root.call(revoke(OTHER)).await, OK);
}

async fn kept<C: Cluster>() {
    let Some((_cluster, caller, root)) = granted::<C>("renewing leases").await else { return };
    let alice = user_with(&root, "alice", &[(Write, "a", "c")]).await;
    let reader = user_with(&root, "reader", &[(Read, "a", "z")]).await;
    ends(renew(&caller, OWN).await, NO_USER);
    ends(renew(&caller, NO_KEYS).await, NO_USER);
    ends(renew(&caller.with_token("garbage"), OWN).await, BAD_TOKEN);
    ends(renew(&reader, OWN).await, DENIED);
    ends(renew(&reader, NO_KEYS).await, OK);
    ends(renew(&alice, OWN).await, OK);
    ends(renew(&alice, OTHER).await, DENIED);
    ends(renew(&root, OTHER).await, OK);
    // A renewal that is denied ends the stream with those before it granted.
    let mut renewals = alice.renew(&[OWN]).await.expect("it opens");
    assert_eq!(renewals.next().await.expect("it may").map(|response| response.ttl), Some(600));
    root.call(put_lease("other", OWN)).await.expect("root may attach keys");
    renewals.send(OWN).await;
    ends(renewals.next().await, DENIED);
    // Unknown leases are of no key.
    assert_eq!(renew(&alice, 404).await.expect("there is no key to check"), 0);
}

async fn shown<C: Cluster>() {
    let Some((_cluster, caller, root)) = granted::<C>("keys of leases").await else { return };
    let reader = user_with(&root, "reader", &[(Read, "a", "c")]).await;
    let writer = user_with(&root, "writer", &[(Write, "a", "c")]).await;
    for keys in [false, true] {
        ends(caller.call(time_to_live(OWN, keys)).await, NO_USER);
        ends(caller.with_token("garbage").call(time_to_live(OWN, keys)).await, BAD_TOKEN);
    }
    ends(reader.call(time_to_live(OTHER, false)).await, OK);
    ends(reader.call(time_to_live(OTHER, true)).await, DENIED);
    let response = reader.call(time_to_live(OWN, true)).await.expect("it may read the key");
    assert_eq!(response.keys, ["a"]);
    ends(writer.call(time_to_live(OWN, true)).await, DENIED);
    ends(writer.call(time_to_live(OWN, false)).await, OK);
    ends(writer.call(time_to_live(NO_KEYS, true)).await, OK);
    root.call(put_lease("other2", OWN)).await.expect("root may attach keys");
    ends(reader.call(time_to_live(OWN, true)).await, DENIED);
}

async fn listed<C: Cluster>() {
    let Some((_cluster, caller, root)) = granted::<C>("lists of leases").await else { return };
    let list = pb::LeaseLeasesRequest {};
    let reader = user_with(&root, "reader", &[(Read, "a", "c")]).await;
    ends(caller.call(list).await, NO_USER);
    ends(caller.with_token("garbage").call(list).await, BAD_TOKEN);
    ends(reader.call(list).await, DENIED);
    root.call(put("other")).await.expect("a put without the lease detaches the key");
    let response = reader.call(list).await.expect("it may read all keys that are attached");
    assert_eq!(response.leases.len(), 3);
    root.call(user_grant("reader", ROOT)).await.expect("both exist");
    ends(reader.call(list).await, OK);
}

/// The expiry of a lease deletes keys without any user's right.
async fn expired<C: Cluster>() {
    let Some((_cluster, _, root)) = granted::<C>("expiry").await else { return };
    let alice = user_with(&root, "alice", &[(Readwrite, "b", "")]).await;
    let mut stream = alice.watch();
    stream.created(crate::support::requests::watch("b", "")).await;
    alice.call(pb::LeaseGrantRequest { id: 20, ttl: 1 }).await.expect("it may grant leases");
    alice.call(put_lease("b", 20)).await.expect("it may write the key");
    let responses = stream.until_events(2).await;
    assert!(responses.iter().all(|response| !response.canceled), "{responses:?}");
    assert_eq!(alice.call(range("b", "")).await.expect("it may read").count, 0);
}
