//! Requests and assertions of all cases.

use std::fmt::Debug;

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::history::{History, Summary, Workload, check, read_truth};
use ferretcd_tests::members::{DEADLINE, Members, until};
use ferretcd_tests::{Clients, Program, report};
use tonic::{Code, Status};

/// Puts a row and returns its revision.
pub(crate) async fn put(clients: &Clients, key: &str, value: &str) -> Result<i64, Status> {
    let put =
        pb::PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() };
    let response = clients.kv.clone().put(put).await?.into_inner();
    Ok(response.header.expect("every response has a header").revision)
}

/// Reads a value.
pub(crate) async fn get(clients: &Clients, key: &str, serializable: bool) -> Result<Option<String>, Status> {
    let range = pb::RangeRequest { key: key.to_owned().into(), serializable, ..Default::default() };
    let response = clients.kv.clone().range(range).await?.into_inner();
    let row = response.kvs.first().map(|row| row.decode().expect("a row can be decoded"));
    Ok(row.map(|row| String::from_utf8_lossy(&row.value).into_owned()))
}

/// Puts a row through a member that may need some time before it takes writes.
pub(crate) async fn put_at_last(clients: &Clients, key: &str, value: &str) {
    until(&format!("{key} is put"), DEADLINE, async || {
        put(clients, key, value).await.map_err(|status| status.to_string())
    })
    .await;
}

/// Asserts that a request is rejected with this error.
pub(crate) fn assert_rejected<T: Debug>(response: Result<T, Status>, code: Code, text: &str) {
    match response {
        Err(status) => assert_eq!((status.code(), status.message()), (code, text)),
        Ok(response) => panic!("it is not rejected with {code:?} `{text}`, but succeeds: {response:?}"),
    }
}

/// Asserts that all running members agree, and that the responses to clients are consistent.
pub(crate) async fn judge<P: Program>(cluster: &Members<P>, history: &History, what: &str) -> Summary {
    cluster.assert_equal().await;
    let through = cluster.leader().await;
    let truth = read_truth(&cluster.clients(through), Workload::PREFIX).await;
    let summary = check(&truth, history).unwrap_or_else(|violation| panic!("{what}: failed to {violation}"));
    assert!(summary.events > 0, "no watch has delivered an event");
    report::measured(&format!("{what} on {}", P::KIND.name), &format!("{summary:?}"));
    summary
}
