//! Calls whose messages come one by one, and responses that are large.

use data_encoding::BASE64;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Clients, Cluster, Killable, Metrics};
use serde_json::Value;

use crate::support::{b64, put, range, start, watch};
use crate::web::{Connection, Request, call};

on_both! {
    a_watch_reports_events_and_goes_on_after_its_requests => events(),
    a_watch_of_compacted_revisions_is_cancelled => compacted(),
    a_client_that_disconnects_ends_its_watches => disconnects(),
    leases_are_kept_alive => keep_alive(),
    a_snapshot_is_that_of_grpc => snapshot(),
    large_ranges_arrive_whole => large_ranges(),
    a_response_that_breaks_off_is_not_taken_for_a_whole_one => breaks_off(),
    a_request_that_breaks_off_is_not_executed => half_a_request(),
    a_client_that_reads_slowly_gets_everything => slowly(),
}

// etcd reads the requests of a connection of HTTP/1.1 to their end before it responds.
ferretcd_tests::on_target! { ferretcd_alone: ferretcd_tests::Process<ferretcd_tests::Ferretcd>,
    requests_and_responses_alternate => dialogue(),
    a_first_request_that_is_malformed_is_an_error => malformed(),
    a_compaction_that_passes_a_response_breaks_it_off => passed(),
    a_large_body_is_refused_and_the_connection_serves_on => oversize(),
}

const WATCHERS: &str = "etcd_debugging_mvcc_watcher_total";

/// A value and how many of them make 20 MB.
const LARGE: (usize, usize) = (1_000_000, 20);

/// Begins a watch, and reads the response that it is created.
async fn watching(url: &str, body: &str) -> Connection {
    let mut connection = Connection::to(url).await;
    connection.send(Request::post("/v3/watch", body)).await;
    assert_eq!(connection.head("POST").await.expect("a response").status, 200);
    let created = connection.line().await.expect("a line");
    assert_eq!(created["result"]["created"], true, "{created}");
    connection
}

async fn events<C: Cluster>() {
    let Some(server) = start::<C>("watches").await else { return };
    let url = server.endpoint();
    let mut watch = watching(&url, &watch("a", "")).await;
    call(&url, Request::post("/v3/kv/put", &put("a", "1"))).await;
    call(&url, Request::post("/v3/kv/deleterange", &range("a"))).await;
    let line = watch.line().await.expect("the put");
    let event = &line["result"]["events"][0];
    assert_eq!(event["type"], Value::Null, "a put is the type without a name: {line}");
    assert_eq!((&event["kv"]["key"], &event["kv"]["value"]), (&b64("a").into(), &b64("1").into()));
    let line = watch.line().await.expect("the deletion");
    assert_eq!(line["result"]["events"][0]["type"], "DELETE", "{line}");
}

async fn compacted<C: Cluster>() {
    let Some(server) = start::<C>("watches of the past").await else { return };
    let url = server.endpoint();
    for value in ["1", "2", "3"] {
        call(&url, Request::post("/v3/kv/put", &put("a", value))).await;
    }
    call(&url, Request::post("/v3/kv/compaction", r#"{"revision":"3","physical":true}"#)).await;
    let mut watch = watching(&url, &watch("a", r#","start_revision":"2""#)).await;
    let line = watch.line().await.expect("the end of the watch");
    let result = &line["result"];
    assert_eq!((&result["canceled"], &result["compact_revision"]), (&true.into(), &"3".into()), "{line}");
}

async fn disconnects<C: Cluster>() {
    let Some(server) = start::<C>("clients that go").await else { return };
    let mut connections = Vec::new();
    for _ in 0..5 {
        connections.push(watching(&server.endpoint(), &watch("a", "")).await);
    }
    Metrics::until(&server, "five watches", |now| now.get(WATCHERS) == Some(5.0)).await;
    drop(connections);
    Metrics::until(&server, "the end of all watches", |now| now.get(WATCHERS) == Some(0.0)).await;
}

async fn keep_alive<C: Cluster>() {
    let Some(server) = start::<C>("leases").await else { return };
    let url = server.endpoint();
    call(&url, Request::post("/v3/lease/grant", r#"{"TTL":"600","ID":"7"}"#)).await;
    let mut connection = Connection::to(&url).await;
    connection.send(Request::post("/v3/lease/keepalive", r#"{"ID":"7"}{"ID":"8"}"#)).await;
    connection.head("POST").await.expect("a response");
    let line = connection.line().await.expect("a renewal");
    assert_eq!((&line["result"]["ID"], &line["result"]["TTL"]), (&"7".into(), &"600".into()), "{line}");
    let line = connection.line().await.expect("a response about no lease");
    assert_eq!((&line["result"]["ID"], &line["result"]["TTL"]), (&"8".into(), &Value::Null), "{line}");
    assert_eq!(connection.line().await, None, "the response ends with the requests");
    // The connection serves on.
    let response = connection.call(Request::post("/v3/lease/leases", "{}")).await.json();
    assert_eq!(response["leases"][0]["ID"], "7", "{response}");
}

async fn snapshot<C: Cluster>() {
    let Some(server) = start::<C>("snapshots").await else { return };
    let url = server.endpoint();
    for n in 0..20 {
        call(&url, Request::post("/v3/kv/put", &put(&format!("key {n}"), &"v".repeat(20_000)))).await;
    }
    let mut connection = Connection::to(&url).await;
    connection.send(Request::post("/v3/maintenance/snapshot", "{}")).await;
    connection.head("POST").await.expect("a response");
    let (mut through_gateway, mut left) = (Vec::new(), None);
    while let Some(line) = connection.line().await {
        let (blob, remaining) = (&line["result"]["blob"], &line["result"]["remaining_bytes"]);
        through_gateway.extend(BASE64.decode(blob.as_str().expect("bytes").as_bytes()).expect("base64"));
        left = Some(remaining.clone());
    }
    assert_eq!(left, Some(Value::Null), "the last part leaves nothing, which has no field");

    let mut clients = Clients::connect(&server).await.expect("it serves");
    let mut parts =
        clients.maintenance.snapshot(pb::SnapshotRequest {}).await.expect("a snapshot").into_inner();
    let mut through_grpc = Vec::new();
    while let Some(part) = parts.message().await.expect("the whole of it") {
        through_grpc.extend_from_slice(&part.blob);
    }
    assert!(through_grpc.len() > 400_000, "all values are in it");
    assert_eq!(through_gateway.len(), through_grpc.len());
    // Two copies of etcd's state at the same moment differ in bookkeeping.
    assert!(C::KIND.reference || through_gateway == through_grpc, "the bytes are the same");
}

/// Puts many large values below `large/`.
async fn fill(clients: &mut Clients) {
    let (length, count) = LARGE;
    for n in 0..count {
        let value = vec![u8::try_from(n).expect("few"); length].into();
        let request = pb::PutRequest { key: format!("large/{n:02}").into(), value, ..Default::default() };
        clients.kv.put(request).await.expect("a put");
    }
}

/// The range of everything below `large/`.
fn all() -> String {
    format!(r#"{{"key":"{}","range_end":"{}"}}"#, b64("large/"), b64("large0"))
}

async fn large_ranges<C: Cluster>() {
    let Some(server) = start::<C>("large ranges").await else { return };
    let mut clients = Clients::connect(&server).await.expect("it serves");
    fill(&mut clients).await;
    let request = pb::RangeRequest { key: "large/".into(), range_end: "large0".into(), ..Default::default() };
    let expected = clients.kv.range(request).await.expect("a range").into_inner();
    let response = call(&server.endpoint(), Request::post("/v3/kv/range", &all())).await;
    assert_eq!(response.head.status, 200);
    let json = response.json();
    assert_eq!(json["count"], LARGE.1.to_string());
    let rows = json["kvs"].as_array().expect("rows");
    assert_eq!(rows.len(), expected.kvs.len());
    for (row, expected) in rows.iter().zip(&expected.kvs) {
        let expected = expected.decode().expect("it is a row");
        let bytes =
            |name: &str| BASE64.decode(row[name].as_str().expect("bytes").as_bytes()).expect("base64");
        assert!(bytes("key") == expected.key && bytes("value") == expected.value, "{:?}", expected.key);
        assert_eq!(row["mod_revision"], expected.mod_revision.to_string());
    }
}

async fn breaks_off<C: Killable>() {
    let Some(mut server) = start::<C>("a server that dies").await else { return };
    fill(&mut Clients::connect(&server).await.expect("it serves")).await;
    let mut connection = Connection::to(&server.endpoint()).await;
    connection.send(Request::post("/v3/kv/range", &all())).await;
    let head = connection.head("POST").await.expect("a response");
    assert_eq!(head.status, 200);
    // The rest does not fit in the buffers of the connection.
    connection.piece().await.expect("a piece").expect("a body");
    server.kill9().await.expect("it runs");
    connection.body().await.expect_err("the body has no end");
}

async fn half_a_request<C: Cluster>() {
    let Some(server) = start::<C>("half a request").await else { return };
    let url = server.endpoint();
    let whole = put("a", "1");
    let half = &whole.as_bytes()[..whole.len() - 1];
    for is_chunked in [false, true] {
        let mut connection = Connection::to(&url).await;
        if is_chunked {
            connection.begin("/v3/kv/put", &[]).await;
            connection.chunk(half).await;
        } else {
            let length = whole.len().to_string();
            let headers = [("Content-Length", &*length)];
            let request = Request { body: half, ..Request::post("/v3/kv/put", "").with(&headers) };
            connection.send(request).await;
        }
    }
    // A later request of another client shows the same revision as before.
    let response = call(&url, Request::post("/v3/kv/range", &range("a"))).await.json();
    assert_eq!(response["header"]["revision"], "1", "{response}");
    let response = call(&url, Request::post("/v3/kv/put", &whole)).await.json();
    assert_eq!(response["header"]["revision"], "2", "{response}");
}

async fn slowly<C: Cluster>() {
    let Some(server) = start::<C>("slow clients").await else { return };
    let mut clients = Clients::connect(&server).await.expect("it serves");
    fill(&mut clients).await;
    let mut connection = Connection::to(&server.endpoint()).await;
    connection.send(Request::post("/v3/kv/range", &all())).await;
    connection.head("POST").await.expect("a response");
    let mut body = connection.piece().await.expect("a piece").expect("a body");
    // The rows are deleted while the response waits for its client.
    let request =
        pb::DeleteRangeRequest { key: "large/".into(), range_end: "large0".into(), ..Default::default() };
    clients.kv.delete_range(request).await.expect("a deletion");
    body.extend(connection.body().await.expect("the body has its end"));
    let json: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(json["count"], LARGE.1.to_string());
    assert_eq!(json["kvs"].as_array().expect("rows").len(), LARGE.1);
}

/// etcd has the whole response in memory by then.
async fn passed<C: Cluster>() {
    let Some(server) = start::<C>("compactions").await else { return };
    let mut clients = Clients::connect(&server).await.expect("it serves");
    fill(&mut clients).await;
    let mut connection = Connection::to(&server.endpoint()).await;
    connection.send(Request::post("/v3/kv/range", &all())).await;
    connection.head("POST").await.expect("a response");
    connection.piece().await.expect("a piece").expect("a body");
    let request =
        pb::DeleteRangeRequest { key: "large/".into(), range_end: "large0".into(), ..Default::default() };
    let header = clients.kv.delete_range(request).await.expect("a deletion").into_inner().header;
    let revision = header.expect("responses have one").revision;
    clients.kv.compact(pb::CompactionRequest { revision, physical: true }).await.expect("a compaction");
    connection.body().await.expect_err("the rest is gone");
}

/// etcd reads the whole.
async fn oversize<C: Cluster>() {
    let Some(server) = start::<C>("large requests").await else { return };
    let mut connection = Connection::to(&server.endpoint()).await;
    let large = format!(r#"{{"x":"{}","key":"YQ=="}}"#, "x".repeat(16 << 20));
    let response = connection.call(Request::post("/v3/kv/put", &large)).await;
    assert_eq!((response.head.status, &response.json()["code"]), (429, &8.into()), "{}", response.text());
    for (path, status) in [("/v3/kv/nope", 404), ("/v3/lease/keepalive", 429), ("/v3/watch", 429)] {
        let response = connection.call(Request::post(path, &large)).await;
        assert_eq!(response.head.status, status, "{path}: {}", response.text());
    }
    let response = connection.call(Request::post("/v3/kv/put", &put("a", "1"))).await.json();
    assert_eq!(response["header"]["revision"], "2", "{response}");
}

async fn dialogue<C: Cluster>() {
    let Some(server) = start::<C>("dialogues").await else { return };
    let url = server.endpoint();
    let mut connection = Connection::to(&url).await;
    connection.begin("/v3/watch", &[]).await;
    connection.chunk(watch("a", "").as_bytes()).await;
    assert_eq!(connection.head("POST").await.expect("a response").status, 200);
    let line = connection.line().await.expect("a watch");
    assert_eq!(line["result"]["created"], true, "{line}");
    call(&url, Request::post("/v3/kv/put", &put("a", "1"))).await;
    let line = connection.line().await.expect("an event");
    assert_eq!(line["result"]["events"][0]["kv"]["value"], b64("1"), "{line}");
    connection.chunk(br#"{"progress_request":{}}"#).await;
    let line = connection.line().await.expect("progress");
    assert_eq!(
        (&line["result"]["watch_id"], &line["result"]["header"]["revision"]),
        (&"-1".into(), &"2".into())
    );
    // A request in two chunks.
    connection.chunk(br#"{"cancel_req"#).await;
    connection.chunk(br#"uest":{"watch_id":"0"}}"#).await;
    let line = connection.line().await.expect("a cancellation");
    assert_eq!(line["result"]["canceled"], true, "{line}");
    connection.chunk(watch("b", "").as_bytes()).await;
    let line = connection.line().await.expect("a watch");
    assert_eq!(
        (&line["result"]["created"], &line["result"]["watch_id"]),
        (&true.into(), &"1".into()),
        "{line}"
    );
    // The end of the requests is not the end of the watch.
    connection.chunk(b"").await;
    call(&url, Request::post("/v3/kv/put", &put("b", "2"))).await;
    let line = connection.line().await.expect("an event");
    assert_eq!(line["result"]["events"][0]["kv"]["value"], b64("2"), "{line}");
}

/// etcd does not respond to these at all.
async fn malformed<C: Cluster>() {
    let Some(server) = start::<C>("malformed watches").await else { return };
    let url = server.endpoint();
    for (body, message) in [
        ("nope", "invalid character 'o' in literal null (expecting 'u')"),
        (r#"{"create_request":"#, "unexpected EOF"),
        (r#"{"create_request":{"key":1}}"#, "proto: (line 1:26): invalid value for bytes field key: 1"),
        (
            r#"{"create_request":{},"cancel_request":{}}"#,
            "proto: (line 1:22): error parsing \"cancel_request\", oneof etcdserverpb.WatchRequest.request_union is already set",
        ),
    ] {
        let response = call(&url, Request::post("/v3/watch", body)).await;
        assert_eq!(response.head.status, 400, "{body}: {}", response.text());
        let expected = serde_json::json!({ "error": { "code": 3, "message": message } });
        assert_eq!(response.json(), expected, "{body}");
    }
    let metrics = Metrics::of(&server).await.expect("it has metrics");
    assert_eq!(metrics.get(WATCHERS), Some(0.0));
}
