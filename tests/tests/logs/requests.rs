//! Lines about requests.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Caller, Cluster, Options, report};

use crate::support::{assert_begins_with, delete, get, lines_of, op, prefix, put, text, txn};

on_both! {
    debug_lines_have_the_content_of_requests => contents(),
    slow_requests_have_etcds_line => slow(),
}

async fn start<C: Cluster>(flags: &[&str]) -> Option<(C, Caller)> {
    if !report::available::<C>("lines about requests") {
        return None;
    }
    let options = Options { flags: flags.iter().map(|flag| (*flag).to_owned()).collect() };
    let server = C::start(&options).await.unwrap_or_else(|error| panic!("{error}"));
    let caller = Caller::of(&server.endpoint());
    Some((server, caller))
}

async fn call_all(caller: &Caller) {
    caller.call(put("a\u{1}", "secret-0")).await.expect("a put");
    caller.call(prefix("a", "b")).await.expect("a range");
    caller.call(txn()).await.expect("a transaction");
    caller.call(delete("a", "")).await.expect("a deletion");
    caller.call(pb::LeaseGrantRequest { ttl: 60, id: 7 }).await.expect("a lease");
}

async fn contents<C: Cluster>() {
    let Some((mut server, caller)) = start::<C>(&["--log-level=debug"]).await else { return };
    call_all(&caller).await;
    server.stop().await.expect("it stops");
    let logs = server.logs();
    // At this level etcd shows whole entries elsewhere.
    assert!(C::KIND.reference || !logs.contains("secret"), "a value is in the log");
    let found: Vec<_> = lines_of(&logs, "request stats")
        .into_iter()
        .filter(|line| line["response type"].as_str().is_some_and(|path| !path.contains("Cluster")))
        .map(|line| line["request content"].as_str().unwrap_or_default().to_owned())
        .collect();
    let expected = [
        r#"key:"a\001" value_size:8 "#,
        r#"key:"a" range_end:"b""#,
        concat!(
            r#"compare:<target:VALUE key:"a" value_size:8 > "#,
            r#"success:<request_put:<key:"b" value_size:8 > request_delete_range:{key:"x" range_end:"y"}> "#,
            r#"failure:<request_range:{key:"c"}>"#
        ),
        r#"key:"a""#,
        "",
    ];
    assert_eq!(found, expected);
}

async fn slow<C: Cluster>() {
    let Some((mut server, caller)) = start::<C>(&["--warning-apply-duration=1ns"]).await else { return };
    call_all(&caller).await;
    let read = pb::TxnRequest { compare: Vec::new(), failure: Vec::new(), ..txn() };
    let read = pb::TxnRequest { success: vec![op(pb::request_op::Request::RequestRange(get("b")))], ..read };
    caller.call(read).await.expect("a transaction that reads");
    server.stop().await.expect("it stops");
    let logs = server.logs();
    let found: Vec<_> = lines_of(&logs, "apply request took too long")
        .iter()
        .map(|line| [text(line, "prefix"), without_id(&text(line, "request"))])
        .filter(|[_, request]| !request.contains("cluster_"))
        .collect();
    let expected = [
        ["", r#"header:<ID:N> put:<key:"a\001" value_size:8 >"#],
        ["read-only range ", r#"key:"a" range_end:"b""#],
        [
            "",
            concat!(
                r#"header:<ID:N> txn:<compare:<target:VALUE key:"a" value_size:8 > "#,
                r#"success:<request_put:<key:"b" value_size:8 > request_delete_range:{key:"x" range_end:"y"}> "#,
                r#"failure:<request_range:{key:"c"}>>"#
            ),
        ],
        ["", r#"header:{ID:N} delete_range:{key:"a"}"#],
        ["", "header:<ID:N> lease_grant:<ttl:60-second id:0000000000000007>"],
        ["read-only txn ", r#"compare:<> success:<request_range:{key:"b"}> failure:<>"#],
    ];
    assert_eq!(found, expected);
    let range = logs.lines().find(|line| line.contains("read-only range ")).expect("it was found before");
    let names =
        ["level", "ts", "caller", "msg", "took", "expected-duration", "prefix", "request", "response"];
    assert_begins_with(range, &names);
    assert!(
        range.contains(r#""expected-duration":"1ns""#) && range.contains("range_response_count:1 size:"),
        "{range}"
    );
    if !C::KIND.reference {
        assert!(range.contains(r#""stages":{"read-index":"#) && range.contains(r#""range":"#), "{range}");
    }
}

/// The text of an entry without the number of its request.
fn without_id(text: &str) -> String {
    let Some((before, rest)) = text.split_once("ID:") else { return text.to_owned() };
    format!("{before}ID:N{}", rest.trim_start_matches(|char: char| char.is_ascii_digit()))
}
