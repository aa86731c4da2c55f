//! Rights that a txn needs: those of all compares and of both branches, however deep.

use ferretcd_api_proto::authpb::permission::Type::{Read, Readwrite, Write};
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Caller, Cluster, Metrics};

use crate::support::requests::{
    Operation, delete, delete_prev, lease, put, put_lease, put_prev, range, txn, txn_else, txn_if,
};
use crate::support::setup::user_with;
use crate::support::texts::{BAD_TOKEN, DENIED, NO_USER, OK};
use crate::support::{ends, outcome, root, started};

on_both! {
    every_operation_is_checked => operations(),
    compares_are_reads => compares(),
    empty_txns_need_no_user => empty(),
    a_denied_txn_changes_nothing => nothing(),
    a_txn_that_is_too_deep_is_not_proposed => too_deep(),
}

/// A txn within `depth` others.
fn nested(inner: pb::TxnRequest, depth: usize) -> pb::TxnRequest {
    (0..depth).fold(inner, |inner, _| txn(inner))
}

/// An operation is checked in both branches, and in txns within txns.
async fn check(user: &Caller, operation: impl Operation + Clone + std::fmt::Debug, expected: &str) {
    for depth in 0..4 {
        for request in [txn(operation.clone()), txn_else(operation.clone())] {
            let response = user.call(nested(request, depth)).await;
            assert_eq!(outcome(&response), expected, "{operation:?} in {depth} txns");
        }
    }
}

async fn operations<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("operations of txns").await else { return };
    let root = root(&caller).await;
    for (id, key) in [(1, "a"), (2, "other")] {
        root.call(lease(id)).await.expect("root may grant leases");
        root.call(put_lease(key, id)).await.expect("root may attach keys");
    }
    let able = user_with(&root, "able", &[(Readwrite, "a", "c")]).await;
    let reader = user_with(&root, "reader", &[(Read, "a", "c")]).await;
    let writer = user_with(&root, "writer", &[(Write, "a", "c")]).await;
    for (user, reads, writes, both) in
        [(&able, OK, OK, OK), (&reader, OK, DENIED, DENIED), (&writer, DENIED, OK, DENIED)]
    {
        check(user, range("a", "c"), reads).await;
        check(user, range("a", "c\0"), DENIED).await;
        check(user, put("b"), writes).await;
        check(user, put("other"), DENIED).await;
        check(user, put_prev("b"), both).await;
        check(user, delete("b", "c"), writes).await;
        check(user, delete_prev("b", "c"), both).await;
        check(user, delete("other", ""), DENIED).await;
        check(user, put_lease("a", 1), writes).await;
        check(user, put_lease("a", 2), DENIED).await;
    }
    check(&root, put_lease("a", 2), OK).await;
}

async fn compares<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("compares").await else { return };
    let root = root(&caller).await;
    let reader = user_with(&root, "reader", &[(Read, "a", "c")]).await;
    let writer = user_with(&root, "writer", &[(Write, "a", "c")]).await;
    for depth in 0..3 {
        ends(reader.call(nested(txn_if("a", ""), depth)).await, OK);
        ends(reader.call(nested(txn_if("a", "c"), depth)).await, OK);
        ends(reader.call(nested(txn_if("a", "d"), depth)).await, DENIED);
        ends(writer.call(nested(txn_if("a", ""), depth)).await, DENIED);
        // Also together with a change that is allowed.
        let both = pb::TxnRequest { success: vec![put("a").op()], ..txn_if("a", "") };
        ends(writer.call(nested(both, depth)).await, DENIED);
    }
}

async fn empty<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("empty txns").await else { return };
    root(&caller).await;
    ends(caller.call(pb::TxnRequest::default()).await, OK);
    ends(caller.call(nested(pb::TxnRequest::default(), 2)).await, OK);
    ends(caller.call(txn_if("a", "")).await, NO_USER);
    ends(caller.with_token("garbage").call(pb::TxnRequest::default()).await, BAD_TOKEN);
}

async fn nothing<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("denied txns").await else { return };
    let root = root(&caller).await;
    let able = user_with(&root, "able", &[(Readwrite, "a", "c")]).await;
    let before = root.call(range("a", "")).await.expect("root may read").header;
    let request =
        pb::TxnRequest { success: vec![put("a").op(), txn(put("other")).op()], ..Default::default() };
    ends(able.call(request).await, DENIED);
    let after = root.call(range("a", "")).await.expect("root may read");
    assert_eq!(after.count, 0);
    assert_eq!(after.header.map(|header| header.revision), before.map(|header| header.revision));
}

/// So often a txn is doubled.
const WIDE: usize = 12;
const TOO_MANY: &str = "InvalidArgument: etcdserver: too many operations in txn request";

/// Each txn counts as an operation of the one around it. One that has too many is rejected before the rights of its
/// operations are looked at, and before anything is proposed.
async fn too_deep<C: Cluster>() {
    let Some((cluster, caller)) = started::<C>("txns that are too deep").await else { return };
    let root = root(&caller).await;
    let able = user_with(&root, "able", &[(Readwrite, "a", "c")]).await;
    // As many as are allowed by default. Its response is nested deeper than this client reads.
    let _ = able.call(nested(txn(put("b")), 127)).await;
    assert_eq!(root.call(range("b", "")).await.expect("root may read").count, 1);
    let before = committed(&cluster).await;
    for depth in [128, 200, 400] {
        for key in ["a", "other"] {
            ends(able.call(nested(txn(put(key)), depth)).await, TOO_MANY);
            ends(able.call(nested(txn_else(put(key)), depth)).await, TOO_MANY);
            ends(able.call(nested(txn_if(key, ""), depth)).await, TOO_MANY);
        }
    }
    // The innermost ones are not few, either: each of these has two.
    let wide = (0..WIDE).fold(txn(put("other")), |inner, _| pb::TxnRequest {
        success: vec![inner.clone().op(), inner.op()],
        ..Default::default()
    });
    ends(able.call(nested(wide, 128 - WIDE)).await, TOO_MANY);
    // The server itself may have proposed something meanwhile.
    assert!(committed(&cluster).await - before < 10.0, "rejected txns are proposed");
}

/// Proposals that the log has.
async fn committed(cluster: &impl Cluster) -> f64 {
    let metrics = Metrics::of(cluster).await.expect("a running server has metrics");
    metrics.get("etcd_server_proposals_committed_total").expect("it has this one")
}
