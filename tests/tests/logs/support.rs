//! Requests, and lines by their fields.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use ferretcd_api_proto::etcdserverpb::request_op::Request;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) fn put(key: &'static str, value: &'static str) -> pb::PutRequest {
    pb::PutRequest { key: key.into(), value: value.into(), ..pb::PutRequest::default() }
}

pub(crate) fn get(key: &'static str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.into(), ..pb::RangeRequest::default() }
}

pub(crate) fn prefix(key: &'static str, range_end: &'static str) -> pb::RangeRequest {
    pb::RangeRequest { range_end: range_end.into(), ..get(key) }
}

pub(crate) fn delete(key: &'static str, range_end: &'static str) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: key.into(),
        range_end: range_end.into(),
        ..pb::DeleteRangeRequest::default()
    }
}

pub(crate) fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

/// Compares a value, writes one and deletes.
pub(crate) fn txn() -> pb::TxnRequest {
    let compare = pb::Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Value.into(),
        key: "a".into(),
        target_union: Some(TargetUnion::Value("secret-1".into())),
        ..pb::Compare::default()
    };
    pb::TxnRequest {
        compare: vec![compare],
        success: vec![
            op(Request::RequestPut(put("b", "secret-2"))),
            op(Request::RequestDeleteRange(delete("x", "y"))),
        ],
        failure: vec![op(Request::RequestRange(get("c")))],
    }
}

/// Makes a call in JSON, and returns the response with its head.
pub(crate) async fn post(url: &str, path: &str, body: &str) -> String {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let len = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {len}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).await.expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("it responds");
    response
}

/// The lines that have this message, as JSON.
pub(crate) fn lines_of(logs: &str, message: &str) -> Vec<Value> {
    let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["msg"] == message).collect()
}

/// Checks that a line begins with these names, in this order.
pub(crate) fn assert_begins_with(line: &str, names: &[&str]) {
    let mut rest = line.strip_prefix('{').unwrap_or_else(|| panic!("no object: {line}"));
    for name in names {
        let quoted = format!("\"{name}\":");
        let at =
            rest.find(&quoted).unwrap_or_else(|| panic!("{name} is not there or not in its place: {line}"));
        rest = &rest[at + quoted.len()..];
    }
}

pub(crate) fn text(line: &Value, name: &str) -> String {
    line[name].as_str().unwrap_or_default().to_owned()
}
