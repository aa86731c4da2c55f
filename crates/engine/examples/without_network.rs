//! A member without a network: writes, reads and a transaction as method calls, a restart between them.
//!
//! `cargo run -p ferretcd-engine --example without_network`

use std::io::{Write as _, stdout};
use std::path::Path;
use std::sync::Arc;

use ferretcd_api_proto::etcdserverpb::request_op::Request;
use ferretcd_api_proto::etcdserverpb::{Compare, PutRequest, RangeRequest, RequestOp, TxnRequest, compare};
use ferretcd_engine::{Caller, Config, Engine, NoPeers};
use prometheus::Registry;
use tokio::runtime::Handle;

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let engine =
        Engine::start(config(dir.path(), 1), Arc::new(NoPeers), &Registry::new(), &Handle::current())?;
    // Returns when the member has elected itself: before that there is no leader to order writes.
    engine.cluster().publish().await?;
    let caller = Caller::default();
    let put = PutRequest { key: "color".into(), value: "blue".into(), ..PutRequest::default() };
    engine.kv().put(&caller, put).await?;

    // Green, but only if it is still blue.
    let put = PutRequest { key: "color".into(), value: "green".into(), ..PutRequest::default() };
    let is_blue = Compare {
        target: compare::CompareTarget::Value.into(),
        key: "color".into(),
        target_union: Some(compare::TargetUnion::Value("blue".into())),
        ..Compare::default()
    };
    let success = vec![RequestOp { request: Some(Request::RequestPut(put)) }];
    let txn = TxnRequest { compare: vec![is_blue], success, failure: vec![] };
    assert!(engine.kv().txn(&caller, txn).await?.succeeded);
    engine.stop().await;
    // The state file is closed with the last handle.
    drop(engine);

    let engine =
        Engine::start(config(dir.path(), 2), Arc::new(NoPeers), &Registry::new(), &Handle::current())?;
    for revision in [0, 2] {
        let range = RangeRequest { key: "color".into(), revision, ..RangeRequest::default() };
        let row = engine.kv().range(&caller, range).await?.kvs[0].decode()?;
        writeln!(stdout(), "{}: {}", row.mod_revision, String::from_utf8_lossy(&row.value))?;
        assert_eq!(row.value, if revision == 2 { "blue" } else { "green" });
    }
    engine.stop().await;
    Ok(())
}

/// `run` differs in each start on a directory.
fn config(dir: &Path, run: u64) -> Config {
    Config::new("default", dir, "http://localhost:2380", run)
}
