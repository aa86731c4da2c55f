//! The responses of a server.

use ferretcd_tests::Cluster;
use serde_json::Value;

use super::case::Case;
use super::normal;
use crate::support::start_with;
use crate::web::{Connection, Request, call};

/// Passwords are hashed fast, and the least time to live, which follows from the last two, is that of a usual server.
const FLAGS: &[&str] = &["--bcrypt-cost=4", "--heartbeat-interval=100", "--election-timeout=1000"];

/// Runs cases in their order, each on a connection of its own.
pub(super) async fn responses<C: Cluster>(cases: &[Case]) -> Vec<Vec<String>> {
    let server = start_with::<C>(FLAGS).await;
    let url = server.endpoint();
    let members = call(&url, Request::post("/v3/cluster/member/list", "{}")).await.json();
    let member = &members["members"][0];
    let known = |value: &Value| value.as_str().expect("members have it").to_owned();
    let mut values = vec![("MEMBER", known(&member["ID"])), ("PEER", known(&member["peerURLs"][0]))];
    let mut responses = Vec::new();
    for case in cases {
        let body = respond(&url, case, &values).await;
        let token = serde_json::from_slice(&body.bytes)
            .ok()
            .and_then(|json: Value| Some(json["token"].as_str()?.to_owned()));
        values.extend(token.map(|token| ("TOKEN", token)));
        responses.push(body.lines);
    }
    responses
}

struct Body {
    bytes: Vec<u8>,
    lines: Vec<String>,
}

async fn respond(url: &str, case: &Case, values: &[(&str, String)]) -> Body {
    let mut connection = Connection::to(url).await;
    send(&mut connection, case, values).await;
    let mut lines = Vec::new();
    let mut head = connection.head(&case.method).await.unwrap_or_else(|error| panic!("{case}: {error}"));
    // An interim response, such as the one to an expectation.
    while head.status < 200 && head.status != 101 {
        lines.push(format!(" {}", head.status));
        head = connection.head(&case.method).await.unwrap_or_else(|error| panic!("{case}: {error}"));
    }
    lines.extend(normal::head(&head));
    let mut bytes = Vec::new();
    for number in 0..case.reads.unwrap_or_default() {
        let Some(line) = connection.line().await else { panic!("{number} values in the body of {case}") };
        bytes.extend_from_slice(format!("{line}\n").as_bytes());
    }
    if case.reads.is_none() {
        bytes = connection.body().await.unwrap_or_else(|error| panic!("{case}: {error}"));
    }
    lines.extend(normal::body(&bytes));
    Body { bytes, lines }
}

async fn send(connection: &mut Connection, case: &Case, values: &[(&str, String)]) {
    let headers: Vec<_> = case.headers.iter().map(|(name, value)| (&**name, text(value, values))).collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
    let path = text(&case.path, values);
    if headers.contains(&("transfer-encoding", "chunked")) {
        connection.begin(&path, &headers).await;
        for line in &case.body {
            connection.chunk(&expanded(line, values)).await;
        }
        connection.chunk(b"").await;
        return;
    }
    let body: Vec<_> = case.body.iter().map(|line| expanded(line, values)).collect();
    let body = body.join(&b'\n');
    connection.send(Request { method: &case.method, path: &path, headers: &headers, body: &body }).await;
}

fn text(line: &str, values: &[(&str, String)]) -> String {
    String::from_utf8(expanded(line, values)).expect("no single bytes here")
}

/// Replaces everything in `$()`.
fn expanded(line: &str, values: &[(&str, String)]) -> Vec<u8> {
    let mut parts = line.split("$(");
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (what, rest) = part.split_once(')').expect("a closed parenthesis");
        if let Some((n, text)) = what.split_once('*') {
            out.extend_from_slice(text.repeat(n.parse().expect("a number")).as_bytes());
        } else if let Some(byte) = what.strip_prefix('x') {
            out.push(u8::from_str_radix(byte, 16).expect("a byte"));
        } else {
            let known = values.iter().rev().find(|(name, _)| *name == what);
            out.extend_from_slice(known.unwrap_or_else(|| panic!("{what} is not known")).1.as_bytes());
        }
        out.extend_from_slice(rest.as_bytes());
    }
    out
}
