//! The KV service.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::Cluster;

use super::super::column::Recorder;
use super::super::world::{OF_A_KEY, OF_A_SECRET, OF_NO_KEY};
use crate::support::requests::{
    OPEN, Operation as _, delete, delete_prev, put, put_lease, put_prev, range, txn, txn_else, txn_if,
};

/// A revision that is compacted, and one that will not come.
const COMPACTED: i64 = 1;
const FUTURE: i64 = 1 << 40;
/// More than a request may have by default, less than a message may have.
const TOO_LARGE: usize = 1_600_000;

pub(super) async fn record<C: Cluster>(to: &mut Recorder<'_, C>) {
    ranges(to).await;
    changes(to).await;
    txns(to).await;
    to.call("Compact a compacted revision", pb::CompactionRequest { revision: COMPACTED, physical: false })
        .await;
    to.call("Compact a future revision", pb::CompactionRequest { revision: FUTURE, physical: false }).await;
}

async fn ranges<C: Cluster>(to: &mut Recorder<'_, C>) {
    to.call("Range of a key", range("a", "")).await;
    to.call("Range of an interval", range("a", "c")).await;
    to.call("Range up to the end of the right", range("a", "n")).await;
    to.call("Range beyond the right", range("a", "n\0")).await;
    to.call("Range from a key on", range("a", OPEN)).await;
    to.call("Range of everything", range(OPEN, OPEN)).await;
    to.call("Range of another's key", range("secret", "")).await;
    to.call("Range of an inverted interval", range("c", "a")).await;
    to.call("Range, serializable", pb::RangeRequest { serializable: true, ..range("a", "") }).await;
    to.call("Range at a compacted revision", pb::RangeRequest { revision: COMPACTED, ..range("a", "") })
        .await;
    to.call("Range at a future revision", pb::RangeRequest { revision: FUTURE, ..range("a", "") }).await;
    to.call("Range without a key", range("", "")).await;
    to.call("Range with an unknown order", pb::RangeRequest { sort_order: 9, ..range("a", "") }).await;
    to.range_stream("RangeStream of a key", range("a", "")).await;
    to.range_stream("RangeStream of an interval", range("a", "c")).await;
    to.range_stream("RangeStream from a key on", range("a", OPEN)).await;
    to.range_stream("RangeStream without a key", range("", "")).await;
    let sorted = pb::RangeRequest { sort_order: 2, sort_target: 4, ..range("a", "c") };
    to.range_stream("RangeStream, sorted", sorted).await;
}

async fn changes<C: Cluster>(to: &mut Recorder<'_, C>) {
    to.call("Put", put("a")).await;
    to.call("Put of another's key", put("secret")).await;
    to.call("Put with prev_kv", put_prev("a")).await;
    to.call("Put with the lease of no key", put_lease("b", OF_NO_KEY)).await;
    to.call("Put, to detach the lease", put("b")).await;
    to.call("Put with the lease of a key", put_lease("b", OF_A_KEY)).await;
    to.call("Put with the lease of another's key", put_lease("b", OF_A_SECRET)).await;
    to.call("Put with an unknown lease", put_lease("b", 404)).await;
    to.call("Put without a key", put("")).await;
    to.call("Put with ignore_value and a value", pb::PutRequest { ignore_value: true, ..put("a") }).await;
    let ignored = pb::PutRequest { ignore_lease: true, ..put("missing") };
    to.call("Put with ignore_lease on a missing key", ignored).await;
    let large = pb::PutRequest { value: vec![b'v'; TOO_LARGE].into(), ..put("a") };
    to.call("Put that is too large", large).await;
    to.call("DeleteRange of a key", delete("d", "")).await;
    to.call("DeleteRange of another's key", delete("secret2", "")).await;
    to.call("DeleteRange with prev_kv", delete_prev("d", "")).await;
    to.call("DeleteRange of an interval", delete("d", "e")).await;
    to.call("DeleteRange of an interval with prev_kv", delete_prev("d", "e")).await;
    to.call("DeleteRange from a key on", delete("zz", OPEN)).await;
    to.call("DeleteRange without a key", delete("", "")).await;
}

async fn txns<C: Cluster>(to: &mut Recorder<'_, C>) {
    let nothing = pb::TxnRequest::default;
    to.call("Txn of nothing", nothing()).await;
    to.call("Txn of an empty txn", txn(nothing())).await;
    to.call("Txn that compares", txn_if("a", "")).await;
    to.call("Txn that compares an interval", txn_if("a", "c")).await;
    to.call("Txn that compares another's key", txn_if("secret", "")).await;
    to.call("Txn that reads", txn(range("a", ""))).await;
    to.call("Txn that reads, serializable", txn(pb::RangeRequest { serializable: true, ..range("a", "") }))
        .await;
    to.call("Txn that would read another's key", txn_else(range("secret", ""))).await;
    to.call("Txn that reads in a txn", txn(txn(range("a", "")))).await;
    to.call("Txn that reads another's key in a txn", txn(txn(range("secret", "")))).await;
    to.call("Txn that puts", txn(put("a"))).await;
    to.call("Txn that would put another's key", txn_else(put("secret"))).await;
    to.call("Txn that puts in a txn", txn(txn(put("a")))).await;
    to.call("Txn that puts another's key in a txn", txn(txn(put("secret")))).await;
    to.call("Txn that would put another's key in a txn", txn(txn_else(put("secret")))).await;
    to.call("Txn that puts with prev_kv", txn(put_prev("a"))).await;
    to.call("Txn that puts with prev_kv in a txn", txn(txn(put_prev("a")))).await;
    to.call("Txn that puts with the lease of a key", txn(put_lease("b", OF_A_KEY))).await;
    to.call("Txn that puts with the lease of another's key", txn(put_lease("b", OF_A_SECRET))).await;
    to.call("Txn that puts with such a lease in a txn", txn(txn(put_lease("b", OF_A_SECRET)))).await;
    to.call("Txn that deletes", txn(delete("d", ""))).await;
    to.call("Txn that deletes with prev_kv", txn(delete_prev("d", "e"))).await;
    to.call("Txn that deletes in a txn with prev_kv", txn(txn(delete_prev("d", "e")))).await;
    to.call(
        "Txn that puts after a compare of another's key",
        pb::TxnRequest { success: vec![put("a").op()], ..txn_if("secret", "") },
    )
    .await;
    to.call("Txn without a key", txn(put(""))).await;
    let twice = pb::TxnRequest { success: vec![put("a").op(), put("a").op()], ..Default::default() };
    to.call("Txn that puts a key twice", twice).await;
    let many = (0..129).map(|number| put(&format!("a{number}")).op()).collect();
    to.call("Txn of too many operations", pb::TxnRequest { success: many, ..Default::default() }).await;
    let future = pb::RangeRequest { revision: FUTURE, ..range("a", "") };
    to.call("Txn that reads at a future revision", txn(future.clone())).await;
    let both = pb::TxnRequest { success: vec![put("a").op(), future.op()], ..Default::default() };
    to.call("Txn that puts and reads at a future revision", both).await;
    to.call("Txn that puts with an unknown lease", txn(put_lease("b", 404))).await;
}
