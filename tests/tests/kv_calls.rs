//! What scenarios can't express: requests that no library would send, deadlines, cancelled and concurrent rpcs, the
//! quota.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use bytes::{Buf as _, Bytes};
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_testkit::Random;
use ferretcd_tests::{Clients, Cluster, Options, Release, on_every_target, raw, report};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::Code;

const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";

/// The expected outcome of an rpc.
enum Outcome {
    /// This code and text.
    Exactly(&'static str),
    /// This code; the text is that of a library.
    Code(&'static str),
    /// The text for an exceeded deadline, unless the response was faster than the clock.
    OutOfTime,
    /// Any failure, of the rpc or of the connection: no client sends such a request.
    Failure,
}

use Outcome::{Code as OnlyCode, Exactly, Failure, OutOfTime};

fn put() -> Bytes {
    pb::PutRequest { key: "a".into(), value: "1".into(), ..Default::default() }.encode_to_vec().into()
}

fn range() -> Bytes {
    pb::RangeRequest { key: "a".into(), ..Default::default() }.encode_to_vec().into()
}

/// A valid message followed by a field that no release knows.
fn with_unknown_field() -> Bytes {
    [&put()[..], &[0x9a, 0x06, 0x01, b'x']].concat().into()
}

/// The first byte of a frame says whether the message is compressed.
fn framed_with_flag(flag: u8) -> Bytes {
    let mut frame = raw::frame(&put()).to_vec();
    frame[0] = flag;
    frame.into()
}

/// A message, compressed.
fn gzipped(message: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(message).expect("memory takes it");
    let mut frame = raw::frame(&encoder.finish().expect("memory takes it")).to_vec();
    frame[0] = 1;
    frame.into()
}

/// The messages of a response, each with whether it was compressed.
fn messages(mut body: &[u8]) -> Vec<(Vec<u8>, bool)> {
    let mut messages = Vec::new();
    while !body.is_empty() {
        let (is_compressed, n) = (body.get_u8() == 1, body.get_u32() as usize);
        let (sent, rest) = body.split_at(n);
        let mut message = sent.to_vec();
        if is_compressed {
            message.clear();
            GzDecoder::new(sent).read_to_end(&mut message).expect("it is gzip");
        }
        messages.push((message, is_compressed));
        body = rest;
    }
    messages
}

/// A request, byte by byte, and its expected outcome.
struct Call {
    name: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, &'static [u8])>,
    body: Bytes,
    outcome: Outcome,
    since: Release,
}

fn call(name: &'static str, path: &'static str, body: Bytes, outcome: Outcome) -> Call {
    Call { name, path, headers: Vec::new(), body, outcome, since: Release::V3_4 }
}

impl Call {
    fn header(mut self, name: &'static str, value: &'static [u8]) -> Self {
        self.headers.push((name, value));
        self
    }

    fn since(mut self, release: Release) -> Self {
        self.since = release;
        self
    }
}

fn calls() -> Vec<Call> {
    let too_large = pb::PutRequest { key: "a".into(), value: vec![0; 3 << 20].into(), ..Default::default() };
    let put = raw::frame(&put());
    vec![
        call("a put", PUT, put.clone(), Exactly("0")),
        call("an unknown field", PUT, raw::frame(&with_unknown_field()), Exactly("0")),
        call("named identity encoding", PUT, put.clone(), Exactly("0")).header("grpc-encoding", b"identity"),
        call("an empty message", PUT, raw::frame(&[]), Exactly("3 etcdserver: key is not provided")),
        call("a message cut off in a tag", PUT, raw::frame(&[0xff]), OnlyCode("13")),
        call("a message cut off in a field", PUT, raw::frame(&[0x0a, 0x05, b'x']), OnlyCode("13")),
        call("a field number of zero", RANGE, raw::frame(&[0x02, 0x00]), OnlyCode("13")),
        call("no message", PUT, Bytes::new(), Failure),
        call("half a frame header", PUT, Bytes::from_static(&[0, 0]), Failure),
        call("half a message", PUT, put.slice(..7), Failure),
        call(
            "a compressed message without an encoding",
            PUT,
            framed_with_flag(1),
            Exactly("13 grpc: compressed flag set with identity or empty encoding"),
        )
        .since(Release::V3_7),
        call(
            "an unknown frame flag",
            PUT,
            framed_with_flag(7),
            Exactly("13 grpc: received unexpected payload format 7"),
        ),
        call(
            "an unknown encoding",
            PUT,
            framed_with_flag(1),
            Exactly(r#"12 grpc: Decompressor is not installed for grpc-encoding "lzma""#),
        )
        .header("grpc-encoding", b"lzma"),
        call(
            "a message that is no gzip",
            PUT,
            framed_with_flag(1),
            Exactly("13 grpc: failed to decompress the message: unexpected EOF"),
        )
        .header("grpc-encoding", b"gzip")
        .since(Release::V3_7),
        call(
            "a message that is too large once it is decompressed",
            PUT,
            gzipped(&too_large.encode_to_vec()),
            Exactly("8 grpc: received message after decompression larger than max 2097152"),
        )
        .header("grpc-encoding", b"gzip")
        .since(Release::V3_7),
        call(
            "a message above the limit",
            PUT,
            raw::frame(&too_large.encode_to_vec()),
            Exactly("8 grpc: received message larger than max (3145736 vs. 2097152)"),
        ),
        call(
            "an unknown method",
            "/etcdserverpb.KV/Nope",
            put.clone(),
            Exactly("12 unknown method Nope for service etcdserverpb.KV"),
        ),
        call("an unknown service", "/nope.Nope/Put", put.clone(), Exactly("12 unknown service nope.Nope")),
        call(
            "names in lower case",
            "/etcdserverpb.kv/put",
            put.clone(),
            Exactly("12 unknown service etcdserverpb.kv"),
        ),
        call("a path of one part", "/nope", put.clone(), Failure),
        call("a put out of time", PUT, put.clone(), OutOfTime)
            .header("grpc-timeout", b"1n")
            .since(Release::V3_7),
        call("a range out of time", RANGE, raw::frame(&range()), OutOfTime)
            .header("grpc-timeout", b"1n")
            .since(Release::V3_7),
        call("all the time there is", RANGE, raw::frame(&range()), Exactly("0"))
            .header("grpc-timeout", b"99999999H"),
        call(
            "a timeout without a unit",
            PUT,
            put.clone(),
            Exactly(r#"13 malformed grpc-timeout: transport: timeout string is too short: "5""#),
        )
        .header("grpc-timeout", b"5")
        .since(Release::V3_7),
        call(
            "a timeout in no number",
            "/etcdserverpb.KV/Nope",
            put.clone(),
            Exactly(r#"13 malformed grpc-timeout: strconv.ParseUint: parsing "-5": invalid syntax"#),
        )
        .header("grpc-timeout", b"-5S")
        .since(Release::V3_7),
        call(
            "a library version that is no text",
            PUT,
            put,
            Exactly("3 etcdserver: invalid client api version"),
        )
        .header("client-api-version", b"3.\xff")
        .since(Release::V3_7),
    ]
}

/// Each of these rpcs is followed by a proper one: none may harm the server.
async fn malformed_requests<C: Cluster>() {
    if !report::available::<C>("unusual calls") {
        return;
    }
    let cluster = C::start(&Options::default()).await.expect("the server starts");
    let mut clients = Clients::connect(&cluster).await.expect("the server accepts connections");
    let mut wrong = Vec::new();
    for call in calls().into_iter().filter(|call| call.since <= C::KIND.release) {
        let response = raw::call(&cluster.endpoint(), call.path, &call.headers, call.body).await;
        let outcome =
            response.map_or_else(|error| format!("failed to {error}"), |response| response.outcome());
        let right = match call.outcome {
            Exactly(text) => outcome == text,
            OnlyCode(code) => outcome.split(' ').next() == Some(code),
            OutOfTime => outcome == "4 context deadline exceeded" || outcome == "0",
            Failure => outcome != "0",
        };
        if !right {
            wrong.push(format!("{}: {outcome}", call.name));
        }
        let proper = pb::PutRequest { key: "b".into(), ..Default::default() };
        clients.kv.put(proper).await.unwrap_or_else(|status| panic!("after {}: {status}", call.name));
    }
    assert!(wrong.is_empty(), "{}:\n{}", C::KIND.name, wrong.join("\n"));
}

/// An rpc that is cancelled at any moment leaves the whole value or no key, and a usable connection.
async fn cancelled_rpcs<C: Cluster>() {
    if !report::available::<C>("cancelled calls") {
        return;
    }
    let cluster = C::start(&Options::default()).await.expect("the server starts");
    let clients = Clients::connect(&cluster).await.expect("the server accepts connections");
    let value = Bytes::from(vec![b'v'; 10_000]);
    let mut random = Random::new(1);
    let mut running = JoinSet::new();
    for index in 0..300 {
        let (mut kv, value, patience) = (clients.kv.clone(), value.clone(), random.below(50));
        running.spawn(async move {
            let put = pb::PutRequest { key: format!("k{index}").into(), value, ..Default::default() };
            tokio::select! {
                biased;
                response = kv.put(put) => Some(response.expect("only the client cancels the rpc")),
                () = yields(patience) => None,
            }
        });
    }
    let acknowledged = running.join_all().await.into_iter().flatten().count();
    let mut kv = clients.kv.clone();
    let all = pb::RangeRequest { key: "k".into(), range_end: "l".into(), ..Default::default() };
    let rows = kv.range(all).await.expect("the connection is in order").into_inner();
    assert!(rows.kvs.len() >= acknowledged, "{acknowledged} acknowledged, {} stored", rows.kvs.len());
    for row in &rows.kvs {
        assert_eq!(row.decode().expect("a row").value, value);
    }
}

/// A client cancels many rpcs at once when their common context ends. Other rpcs of the connection must survive.
async fn burst_of_cancels<C: Cluster>(calls: u32) {
    if !report::available::<C>("a burst of cancelled calls") {
        return;
    }
    let cluster = C::start(&Options::default()).await.expect("the server starts");
    let ended = raw::cancelled_at_once(&cluster.endpoint(), RANGE, calls).await.expect("the server reacts");
    assert_eq!(ended, None, "{}: the reason by which the connection was ended", C::KIND.name);
}

async fn yields(times: u64) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// A thousand concurrent puts on one connection: each gets a revision of its own, none is missing.
async fn concurrent_puts<C: Cluster>() {
    const CALLS: usize = 1000;
    if !report::available::<C>("concurrent calls") {
        return;
    }
    let cluster = C::start(&Options::default()).await.expect("the server starts");
    let clients = Clients::connect(&cluster).await.expect("the server accepts connections");
    let mut running = JoinSet::new();
    for index in 0..CALLS {
        let mut kv = clients.kv.clone();
        running.spawn(async move {
            let put = pb::PutRequest { key: format!("k{index}").into(), ..Default::default() };
            let response = kv.put(put).await.expect("puts succeed").into_inner();
            response.header.expect("a put has a header").revision
        });
    }
    let revisions: BTreeSet<i64> = running.join_all().await.into_iter().collect();
    let expected: BTreeSet<i64> = (2..).take(CALLS).collect();
    assert_eq!(revisions, expected);
}

/// Writes are rejected once the quota is exceeded; deletes and reads are not. The alarm stays until it is cleared.
async fn quota<C: Cluster>() {
    const QUOTA: i64 = 8 << 20;
    const VALUE: usize = 256 << 10;
    if !report::available::<C>("quota") {
        return;
    }
    let options = Options { flags: vec![format!("--quota-backend-bytes={QUOTA}")] };
    let cluster = C::start(&options).await.expect("the server starts");
    let Clients { mut kv, mut maintenance, .. } =
        Clients::connect(&cluster).await.expect("the server accepts connections");
    let big = |index: i64| pb::PutRequest {
        key: format!("k{index}").into(),
        value: vec![b'v'; VALUE].into(),
        ..Default::default()
    };
    // The file's size is updated at commits, so somewhat more than the quota may be written.
    let mut rejected = None;
    for index in 0..400 {
        if let Err(status) = kv.put(big(index)).await {
            rejected = Some(status);
            break;
        }
    }
    let rejected = rejected.expect("a quota of 8 MiB is used up by 100 MiB");
    assert_eq!(rejected.code(), Code::ResourceExhausted);
    assert_eq!(rejected.message(), "etcdserver: mvcc: database space exceeded");

    let get = pb::AlarmRequest::default();
    let alarms = maintenance.alarm(get).await.expect("alarms can be listed").into_inner().alarms;
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0].alarm(), pb::AlarmType::Nospace);

    let small = pb::PutRequest { key: "small".into(), ..Default::default() };
    let status = kv.put(small.clone()).await.expect_err("the alarm rejects the smallest write");
    assert_eq!(status.message(), "etcdserver: mvcc: database space exceeded");
    let delete = pb::DeleteRangeRequest { key: "k".into(), range_end: "l".into(), prev_kv: false };
    let deleted = kv.delete_range(delete).await.expect("deletes make room").into_inner();
    assert!(deleted.deleted >= QUOTA / i64::try_from(VALUE).expect("a small number") - 4);

    let disarm = pb::AlarmRequest {
        action: pb::alarm_request::AlarmAction::Deactivate.into(),
        member_id: alarms[0].member_id,
        alarm: alarms[0].alarm,
    };
    maintenance.alarm(disarm).await.expect("alarms can be cleared");
    let get = pb::AlarmRequest::default();
    let alarms = maintenance.alarm(get).await.expect("alarms can be listed").into_inner().alarms;
    assert_eq!(alarms, []);
}

/// A transaction in transactions, `depth` of them in all, that puts one key at the bottom.
fn nested(depth: usize, key: &str) -> pb::TxnRequest {
    let op = |request| pb::TxnRequest {
        success: vec![pb::RequestOp { request: Some(request) }],
        ..Default::default()
    };
    let put = pb::PutRequest { key: key.to_owned().into(), ..Default::default() };
    (1..depth).fold(op(pb::request_op::Request::RequestPut(put)), |inner, _| {
        op(pb::request_op::Request::RequestTxn(inner))
    })
}

/// Transactions may be nested as deep as the number of operations allows.
async fn deep_transactions<C: Cluster>() {
    if !report::available::<C>("deep transactions") {
        return;
    }
    for (flags, depths, rejected) in [
        (vec![], &[50, 51, 99, 101, 128][..], 129),
        (vec!["--max-txn-ops=100000".to_owned()], &[129, 200, 500, 512], 513),
    ] {
        let cluster = C::start(&Options { flags: flags.clone() }).await.expect("the server starts");
        let Clients { mut kv, .. } =
            Clients::connect(&cluster).await.expect("the server accepts connections");
        for depth in depths {
            let key = format!("{depth} deep");
            // This client cannot read a response that is nested so deep, only the effect.
            let _ = kv.txn(nested(*depth, &key)).await;
            let read = pb::RangeRequest { key: key.clone().into(), ..Default::default() };
            let found = kv.range(read).await.expect("a running server reads").into_inner().count;
            assert_eq!(found, 1, "{key}");
        }
        let rejection = kv.txn(nested(rejected, "too deep")).await;
        if flags.is_empty() {
            let status = rejection.expect_err("it has too many operations");
            assert_eq!(status.message(), "etcdserver: too many operations in txn request");
        } else if !C::KIND.reference {
            // etcd has a bound of its own, further away.
            let status = rejection.expect_err("it is too deep");
            assert_eq!(status.code(), Code::Internal);
            assert!(status.message().starts_with("grpc: error unmarshalling request: "), "{status}");
            assert!(status.message().contains("exceeded maximum recursion depth"), "{status}");
        }
    }
}

/// A client that names gzip may compress its requests, and gets compressed responses.
async fn compression<C: Cluster>() {
    if !report::available::<C>("compressed calls") || C::KIND.release < Release::V3_7 {
        return;
    }
    let cluster = C::start(&Options::default()).await.expect("the server starts");
    let value = vec![b'v'; 100_000];
    let put = pb::PutRequest { key: "a".into(), value: value.clone().into(), ..Default::default() };
    let get = pb::RangeRequest { key: "a".into(), ..Default::default() }.encode_to_vec();
    let sent = [
        (PUT, gzipped(&put.encode_to_vec())),
        (RANGE, gzipped(&get)),
        (RANGE, raw::frame(&get)),
        ("/etcdserverpb.KV/RangeStream", gzipped(&get)),
    ];
    for (path, body) in sent {
        let headers = [("grpc-encoding", &b"gzip"[..])];
        let response = raw::call(&cluster.endpoint(), path, &headers, body).await.expect("it responds");
        assert_eq!(response.outcome(), "0", "{path}");
        assert_eq!(response.headers["grpc-encoding"], "gzip", "{path}");
        let messages = messages(&response.body);
        assert!(!messages.is_empty(), "{path}");
        for (message, is_compressed) in &messages {
            // etcd compresses short ones as well.
            let may_stay = !C::KIND.reference && message.len() < 1024;
            assert!(*is_compressed || may_stay, "{path}");
        }
        if path == RANGE {
            assert!(messages[0].0.windows(value.len()).any(|window| window == value));
        }
    }
    // A client that only accepts it gets none.
    let accepting = [("grpc-accept-encoding", &b"gzip"[..])];
    let response = raw::call(&cluster.endpoint(), RANGE, &accepting, raw::frame(&get)).await;
    let response = response.expect("it responds");
    assert!(!response.headers.contains_key("grpc-encoding") && !messages(&response.body)[0].1);
}

/// A client that pings too often is sent away, unless it has something to measure by pings.
async fn pings<C: Cluster>() {
    const TOO_MANY: Option<&str> = Some("too_many_pings");
    if !report::available::<C>("pings") {
        return;
    }
    // While a call is open any two pings are far enough apart.
    let flags = vec!["--grpc-keepalive-min-time=1ns".to_owned()];
    let cluster = C::start(&Options { flags }).await.expect("the server starts");
    let watch = pb::WatchCreateRequest { key: "a".into(), ..Default::default() };
    let watch = pb::watch_request::RequestUnion::CreateRequest(watch);
    let watch = pb::WatchRequest { request_union: Some(watch) }.encode_to_vec();
    let connect = async || raw::Pinging::connect(&cluster.endpoint()).await.expect("it is served");

    let mut idle = connect().await;
    assert_eq!(idle.ping(3).await.expect("it is served"), None);
    assert_eq!(idle.ping(1).await.expect("it is told").as_deref(), TOO_MANY);

    let mut calling = connect().await;
    for _ in 0..3 {
        assert_eq!(calling.ping(3).await.expect("it is served"), None);
        calling.call(RANGE, &raw::frame(&range()), true).await.expect("it is served");
    }
    assert_eq!(calling.ping(4).await.expect("it is told").as_deref(), TOO_MANY);

    let mut watching = connect().await;
    watching.call("/etcdserverpb.Watch/Watch", &raw::frame(&watch), false).await.expect("it is served");
    assert_eq!(watching.ping(20).await.expect("it is served"), None);
}

mod on_processes {
    use ferretcd_tests::on_every_process;

    use super::pings;

    on_every_process! {
        clients_that_ping_too_often_are_sent_away => pings(),
    }
}

on_every_target! {
    compressed_calls_have_compressed_responses => compression(),
    deep_transactions_are_executed => deep_transactions(),
    malformed_requests_do_no_harm => malformed_requests(),
    cancelled_rpcs_leave_all_or_nothing => cancelled_rpcs(),
    many_cancels_at_once_do_no_harm => burst_of_cancels(200),
    concurrent_puts_have_their_own_revisions => concurrent_puts(),
    writes_over_the_quota_are_rejected => quota(),
}
