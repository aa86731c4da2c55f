use ferretcd_api_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use ferretcd_api_proto::etcdserverpb::{RangeStreamResponse, ResponseHeader};
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_mvcc::{Config, Store};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::encoded::Encoded;
use crate::partial::{Lists, OpenLists};
use crate::streamed::StreamedRange;

/// A store in which versions, revisions and values stand in other orders than the keys. Only a part of its rows is in
/// memory.
fn mixed_store(puts: &[(u8, u8)], n_stored: usize) -> Store {
    let backend = Backend::in_memory();
    let mut store = Store::open(backend.clone(), &Config { cache_bytes: 4 << 10 }).expect("an empty backend");
    for (n, (key, value)) in puts.iter().enumerate() {
        let mut batch = Batch::default();
        let mut txn = store.write(&mut batch);
        let name = format!("k{key:03}");
        match value % 5 {
            0 => _ = txn.delete_range(&KeyRange::Key(name.into())),
            _ => _ = txn.put(name.into(), vec![*value; usize::from(*value)].into(), LeaseId(1)),
        }
        let revision = txn.commit().revision;
        backend.commit(&batch).expect("memory");
        if n < n_stored {
            store.release(revision);
        }
    }
    store
}

/// The same by looking at every row.
fn naive(store: &Store, request: &RangeRequest) -> RangeResponse {
    let keys = KeyRange::from_wire(request.key.clone(), request.range_end.clone());
    let at = (request.revision > 0).then_some(request.revision);
    let options = ferretcd_mvcc::RangeOptions { at, ..Default::default() };
    let view = store.reader().view();
    let all = view.range(&keys, &options).expect("nothing is compacted").rows;
    let mut rows: Vec<KeyValue> = all.iter().map(|row| row.key_value().expect("its own row")).collect();
    let count = rows.len() as i64;
    if request.count_only {
        return RangeResponse { count, ..RangeResponse::default() };
    }
    let is_filtered = request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0;
    rows.retain(|row| {
        row.mod_revision >= request.min_mod_revision
            && (request.max_mod_revision == 0 || row.mod_revision <= request.max_mod_revision)
            && row.create_revision >= request.min_create_revision
            && (request.max_create_revision == 0 || row.create_revision <= request.max_create_revision)
    });
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    if request.sort_order == SortOrder::None as i32 && !is_filtered {
        rows.truncate(limit.saturating_add(1));
    }
    let number = |row: &KeyValue| match request.sort_target {
        1 => row.version,
        2 => row.create_revision,
        3 => row.mod_revision,
        _ => 0,
    };
    let (target, descending) = (request.sort_target, request.sort_order == SortOrder::Descend as i32);
    rows.sort_by(|a, b| {
        let order = match target {
            0 => a.key.cmp(&b.key),
            4 => a.value.cmp(&b.value),
            _ => number(a).cmp(&number(b)),
        };
        if descending { order.reverse() } else { order }
    });
    let more = rows.len() > limit;
    rows.truncate(limit);
    for row in rows.iter_mut().filter(|_| request.keys_only) {
        row.value = Bytes::new();
        if target != SortTarget::Value as i32 {
            row.lease = 0;
        }
    }
    RangeResponse { header: None, kvs: rows.iter().map(EncodedKeyValue::from).collect(), more, count }
}

fn take_all(mut encoded: Encoded, bytes: usize) -> Vec<u8> {
    let (mut all, promised) = (Vec::new(), encoded.bytes());
    while encoded.bytes() > 0 {
        let from_memory = encoded.take(bytes, Access::Memory).expect("nothing is compacted");
        let taken = match from_memory.is_empty() {
            true => encoded.take(bytes, Access::Backend).expect("nothing is compacted"),
            false => from_memory,
        };
        taken.iter().for_each(|chunk| all.extend_from_slice(chunk));
    }
    assert_eq!(all.len() as u64, promised);
    all
}

fn requests() -> impl Strategy<Value = RangeRequest> {
    let numbers = (0..5, 0..3, -1_i64..70, 0_i64..130);
    let bounds = proptest::option::weighted(0.3, [0_i64..100, 0..100, 0..100, 0..100]);
    (numbers, bounds, any::<[bool; 2]>()).prop_map(|(numbers, bounds, [keys_only, count_only])| {
        let (sort_target, sort_order, limit, revision) = numbers;
        let [min_mod_revision, max_mod_revision, min_create_revision, max_create_revision] =
            bounds.unwrap_or_default();
        RangeRequest {
            key: "k".into(),
            range_end: "k050".into(),
            limit,
            revision,
            sort_order,
            sort_target,
            serializable: false,
            keys_only,
            count_only: count_only && keys_only,
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
        }
    })
}

proptest! {
    #[test]
    fn ranges_are_those_of_a_look_at_every_row(
        puts in vec((0_u8..60, any::<u8>()), 0..120),
        n_stored in 0_usize..120,
        mut request in requests(),
        bytes in 1_usize..4000,
    ) {
        let store = mixed_store(&puts, n_stored);
        request.revision = if request.revision <= store.revision() { request.revision } else { 0 };
        let expected = naive(&store, &request);
        let view = store.reader().view();
        prop_assert_eq!(&range(&view, &request).expect("nothing is compacted"), &expected);

        let open = || RangePlan::new(&request).open(&view.snapshot()).expect("nothing is compacted");
        let header = ResponseHeader { revision: view.revision(), ..ResponseHeader::default() };
        let message = RangeResponse { header: Some(header), ..RangeResponse::default() };
        let expected = RangeResponse { header: Some(header), ..expected };
        let mut lists = OpenLists::default();
        lists.push(0, open());
        let encoded = message.encode_around(&mut lists);
        prop_assert_eq!(encoded.bytes(), expected.encoded_len() as u64);
        prop_assert_eq!(take_all(encoded, bytes), expected.encode_to_vec());

        let mut streamed = StreamedRange::new(open(), header);
        let (mut merged, mut n_messages) = (Vec::new(), 0);
        while !streamed.is_done() {
            let taken = streamed.take(bytes, Access::Backend).expect("nothing is compacted");
            let message = taken.concat();
            let piece = RangeStreamResponse::decode(&message[..]).expect("a piece").range_response;
            let piece = piece.expect("it has a range");
            prop_assert_eq!(piece.header.is_some(), streamed.is_done());
            prop_assert!(piece.kvs.len() <= bytes);
            merged.extend(piece.encode_to_vec());
            n_messages += 1;
        }
        prop_assert!(n_messages <= expected.kvs.len().max(1));
        prop_assert_eq!(RangeResponse::decode(&merged[..]).expect("a range"), expected);
    }
}
