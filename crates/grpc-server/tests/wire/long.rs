//! Responses that are longer than what the server holds of them.

use std::time::Duration;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, DeleteRangeResponse, PutRequest, RangeRequest, RangeResponse,
    RangeStreamResponse, RequestOp, TxnRequest, TxnResponse, request_op, response_op,
};
use ferretcd_engine::Caller;
use h2::Reason;
use h2::client::Builder;
use prost::Message;

use crate::support::*;

const DELETE: &str = "/etcdserverpb.KV/DeleteRange";
const TXN: &str = "/etcdserverpb.KV/Txn";
/// What two responses under way are charged with, and not a third one.
const BUDGET_FOR_TWO: u64 = 1 << 20;

const N_KEYS: usize = 900;
const VALUE_BYTES: usize = 3000;

fn key(index: usize) -> String {
    format!("k{index:04}")
}

fn value(index: usize) -> Bytes {
    vec![index as u8; VALUE_BYTES].into()
}

/// Keys of some megabytes together.
async fn fill(served: &Served) {
    for index in 0..N_KEYS {
        served.put(&key(index), value(index)).await;
    }
}

fn is_everything(response: &RangeResponse) -> bool {
    response.count == N_KEYS as i64
        && response.kvs.len() == N_KEYS
        && response.kvs.iter().enumerate().all(|(index, row)| {
            let row = row.decode().expect("a row");
            row.key == key(index) && row.value == value(index)
        })
}

/// A client whose streams get no more than they have at the beginning.
async fn narrow_client(served: &Served) -> Client {
    let mut builder = Builder::new();
    builder.initial_window_size(65_535).initial_connection_window_size(1 << 30);
    Client::connect(served.address, &builder).await
}

/// Bytes of the budget that responses have.
async fn used_bytes(client: &Client) -> u64 {
    let page = client.page("/metrics").await;
    let text = String::from_utf8(page.body.to_vec()).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix("ferretcd_response_budget_used_bytes "));
    line.expect("the gauge is there").parse().expect("a number")
}

async fn until_nothing_is_used(client: &Client) {
    soon("the end of responses that no client reads", async {
        while used_bytes(client).await > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn long_responses_are_complete_and_encoded_as_short_ones() {
    let served = Served::start().await;
    fill(&served).await;
    let client = served.client().await;

    let response = client.call(RANGE, &everything()).await;
    assert_eq!(response.outcome(), "0");
    let range = RangeResponse::decode(response.message()).expect("a range response");
    assert!(is_everything(&range));
    assert_eq!(response.message(), range.encode_to_vec(), "fields stand in their order");

    let streamed = client.call(STREAM, &everything()).await;
    assert_eq!(streamed.outcome(), "0");
    let mut whole = RangeResponse::default();
    for message in streamed.messages() {
        let piece = RangeStreamResponse::decode(message).expect("a piece").range_response.expect("a range");
        whole.kvs.extend(piece.kvs);
        whole = RangeResponse { kvs: whole.kvs, ..piece };
    }
    assert_eq!(whole, range);

    let op = |request| RequestOp { request: Some(request) };
    let delete = DeleteRangeRequest { key: "k".into(), range_end: "l".into(), prev_kv: true };
    let txn = TxnRequest {
        success: vec![
            op(request_op::Request::RequestRange(everything())),
            op(request_op::Request::RequestRange(RangeRequest {
                key: key(1).into(),
                ..RangeRequest::default()
            })),
            op(request_op::Request::RequestTxn(TxnRequest {
                success: vec![op(request_op::Request::RequestDeleteRange(delete.clone()))],
                ..TxnRequest::default()
            })),
            op(request_op::Request::RequestRange(everything())),
        ],
        ..TxnRequest::default()
    };
    let response = client.call(TXN, &txn).await;
    assert_eq!(response.outcome(), "0");
    let txn = TxnResponse::decode(response.message()).expect("a transaction's response");
    assert_eq!(response.message(), txn.encode_to_vec());
    let lists: Vec<_> = txn.responses.into_iter().map(|op| op.response.expect("a response")).collect();
    let [
        response_op::Response::ResponseRange(before),
        response_op::Response::ResponseRange(one),
        response_op::Response::ResponseTxn(nested),
        response_op::Response::ResponseRange(behind),
    ] = &lists[..]
    else {
        panic!("{} operations", lists.len())
    };
    assert!(is_everything(before));
    assert_eq!((one.count, one.kvs.len()), (1, 1));
    let Some(response_op::Response::ResponseDeleteRange(deleted)) = &nested.responses[0].response else {
        panic!("a deletion")
    };
    assert_eq!((deleted.deleted, &deleted.prev_kvs), (N_KEYS as i64, &before.kvs));
    assert_eq!((behind.count, behind.kvs.len()), (0, 0), "it sees the deletion");

    fill(&served).await;
    let response = client.call(DELETE, &delete).await;
    assert_eq!(response.outcome(), "0");
    let deleted = DeleteRangeResponse::decode(response.message()).expect("a deletion's response");
    assert_eq!((deleted.deleted, deleted.prev_kvs.len()), (N_KEYS as i64, N_KEYS));
    until_nothing_is_used(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_is_left_of_responses_that_are_given_up() {
    let served = Served::start().await;
    fill(&served).await;
    let observer = served.client().await;
    for path in [RANGE, STREAM] {
        let client = narrow_client(&served).await;
        let response = soon("a head", client.send(path, &everything()).await).await.expect("a response");
        assert!(used_bytes(&observer).await > 0, "{path}");
        // Resets the stream.
        drop(response);
        until_nothing_is_used(&observer).await;

        let _response = soon("a head", client.send(path, &everything()).await).await.expect("a response");
        assert!(used_bytes(&observer).await > 0, "{path}");
        client.connection.abort();
        until_nothing_is_used(&observer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn lists_without_room_are_rejected_and_nothing_else_waits() {
    let served = Served::start_with_budget(BUDGET_FOR_TWO).await;
    fill(&served).await;
    let stalled = narrow_client(&served).await;
    let (first, second) =
        (stalled.send(RANGE, &everything()).await, stalled.send(RANGE, &everything()).await);
    let _first = soon("a head", first).await.expect("a response");
    let _second = soon("a head", second).await.expect("a response");

    let client = served.client().await;
    let third = client.send(RANGE, &everything()).await;
    let put = PutRequest { key: "other".into(), ..PutRequest::default() };
    assert_eq!(client.call(PUT, &put).await.outcome(), "0");
    assert_eq!(client.get(&key(7)).await, value(7));
    let few = RangeRequest { limit: 10, ..everything() };
    assert_eq!(client.call(RANGE, &few).await.outcome(), "0");
    let counted = RangeRequest { count_only: true, ..everything() };
    assert_eq!(client.call(RANGE, &counted).await.outcome(), "0");
    let by_revision = RangeRequest { sort_order: 2, sort_target: 3, limit: 1, ..everything() };
    assert_eq!(client.call(RANGE, &by_revision).await.outcome(), "0", "it holds little");
    // What has written is told so, whatever it takes.
    let write_and_list = TxnRequest {
        success: vec![
            RequestOp { request: Some(request_op::Request::RequestPut(put.clone())) },
            RequestOp { request: Some(request_op::Request::RequestRange(everything())) },
        ],
        ..TxnRequest::default()
    };
    assert_eq!(client.call(TXN, &write_and_list).await.outcome(), "0");
    assert_eq!(FullResponse::of(third).await.outcome(), "8 etcdserver:%20too%20many%20requests");

    // What is put together in memory first has to fit at once.
    let by_value = RangeRequest { sort_order: 1, sort_target: 4, ..everything() };
    assert_eq!(client.call(RANGE, &by_value).await.outcome(), "8 etcdserver:%20too%20many%20requests");

    stalled.connection.abort();
    until_nothing_is_used(&client).await;
    assert_eq!(client.call(RANGE, &everything()).await.outcome(), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn client_that_reads_nothing_loses_its_connection() {
    let config = ferretcd_grpc_server::Config { response_stall_max: Duration::from_millis(50), ..config() };
    let served = Served::start_with(config, port_config()).await;
    fill(&served).await;
    let observer = served.client().await;
    // Of the second kind the last piece is all that is left.
    let lists = [everything(), RangeRequest { limit: 36, ..everything() }];
    for (path, list) in
        [RANGE, STREAM].into_iter().flat_map(|path| lists.iter().map(move |list| (path, list)))
    {
        let client = narrow_client(&served).await;
        let _response = soon("a head", client.send(path, list).await).await.expect("a response");
        let _end = soon("the end of the connection", client.connection).await.expect("no panic");
        until_nothing_is_used(&observer).await;
    }
    assert_eq!(observer.call(RANGE, &everything()).await.outcome(), "0");
}

/// Compacts while a response is under way, and reads the rest of it.
async fn compact_within(
    served: &Served,
    path: &str,
    request: &impl Message,
) -> Result<FullResponse, Option<Reason>> {
    let client = narrow_client(served).await;
    let response = soon("a head", client.send(path, request).await).await.expect("a response");
    served.put("another", "").await;
    let revision = served.engine.kv().reader().revision();
    let compaction = CompactionRequest { revision, physical: true };
    served.engine.kv().compact(&Caller::ANONYMOUS, compaction).await.expect("it is above the last one");
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(part) = soon("a part of a body", body.data()).await {
        let part = part.map_err(|error| error.reason())?;
        body.flow_control().release_capacity(part.len()).expect("it was received");
        bytes.extend_from_slice(&part);
    }
    let trailers = soon("trailers", body.trailers()).await.map_err(|error| error.reason())?;
    let head = http::Response::from_parts(head, ());
    Ok(FullResponse { head, body: bytes.into(), trailers: trailers.unwrap_or_default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn compaction_breaks_off_a_response_that_shows_an_older_revision() {
    let served = Served::start().await;
    fill(&served).await;
    let observer = served.client().await;

    let broken = compact_within(&served, RANGE, &everything()).await;
    assert_eq!(broken.expect_err("it is cut"), Some(Reason::REFUSED_STREAM), "it can be sent again");

    let success = vec![
        RequestOp {
            request: Some(request_op::Request::RequestPut(PutRequest {
                key: "p".into(),
                ..PutRequest::default()
            })),
        },
        RequestOp { request: Some(request_op::Request::RequestRange(everything())) },
    ];
    let txn = TxnRequest { success, ..TxnRequest::default() };
    let broken = compact_within(&served, TXN, &txn).await;
    assert_eq!(broken.expect_err("it is cut"), Some(Reason::INTERNAL_ERROR), "it has written");

    let ended = compact_within(&served, STREAM, &everything()).await.expect("a stream has room for a status");
    assert_eq!(ended.outcome(), "11 etcdserver:%20mvcc:%20required%20revision%20has%20been%20compacted");
    until_nothing_is_used(&observer).await;
}
