//! Spans of calls, sent to a collector.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{DEADLINE, until};
use ferretcd_tests::{Caller, Cluster, Metrics, Options, report};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::{delete, get, prefix, put, txn};

on_both! {
    spans_are_those_of_etcd => spans(),
    calls_are_traced_as_their_clients_say => parents(),
}

ferretcd_tests::on_target! { ferretcd_alone: ferretcd_tests::Process<ferretcd_tests::Ferretcd>,
    calls_do_not_wait_for_a_collector_that_is_away => no_collector(),
}

/// A span with the name of its scope, and the attributes of its process.
#[derive(Clone, Debug)]
struct Received {
    scope: String,
    resource: BTreeMap<String, String>,
    span: Span,
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Received>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock().expect("no test panics with it");
        for of_process in request.into_inner().resource_spans {
            let resource = named(&of_process.resource.unwrap_or_default().attributes);
            for of_scope in of_process.scope_spans {
                let scope = of_scope.scope.unwrap_or_default().name;
                received.extend(of_scope.spans.into_iter().map(|span| Received {
                    scope: scope.clone(),
                    resource: resource.clone(),
                    span,
                }));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (collector, address) = (Self::default(), listener.local_addr().expect("it is bound"));
        let service = TraceServiceServer::new(collector.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, address)
    }

    /// Spans of calls on keys, with those of their handlers; the others are of the start.
    fn spans(&self) -> Vec<Received> {
        self.0.lock().expect("no test panics with it").clone()
    }

    async fn has(&self, count: usize) -> Vec<Received> {
        until("spans", DEADLINE, async || {
            let spans = self.spans();
            if spans.len() >= count { Ok(spans) } else { Err(format!("{spans:#?}")) }
        })
        .await
    }
}

fn named(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(&attribute.value))).collect()
}

async fn start<C: Cluster>(address: SocketAddr, flags: &[&str]) -> Option<(C, Caller)> {
    if !report::available::<C>("spans") {
        return None;
    }
    let mut all =
        vec!["--enable-distributed-tracing".to_owned(), format!("--distributed-tracing-address={address}")];
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let server = C::start(&Options { flags: all }).await.unwrap_or_else(|error| panic!("{error}"));
    let caller = Caller::of(&server.endpoint());
    Some((server, caller))
}

/// Every call is traced.
async fn spans<C: Cluster>() {
    let (collector, address) = Collector::start().await;
    let flags = [
        "--distributed-tracing-service-name=store",
        "--distributed-tracing-instance-id=one",
        "--distributed-tracing-sampling-rate=1000000",
    ];
    let Some((mut server, caller)) = start::<C>(address, &flags).await else { return };
    caller.call(put("a", "secret")).await.expect("a put");
    caller.call(prefix("a", "b")).await.expect("a range");
    caller.call(txn()).await.expect("a transaction");
    caller.call(delete("a", "b")).await.expect("a deletion");
    caller.call(pb::LeaseGrantRequest { ttl: 60, id: 7 }).await.expect("a lease");
    caller.call(pb::LeaseRevokeRequest { id: 7 }).await.expect("its end");
    caller.call(pb::CompactionRequest { revision: 2, physical: true }).await.expect("a compaction");
    caller.call(pb::RangeRequest { revision: 99, ..get("a") }).await.expect_err("a revision of the future");
    let calls = 8;
    let received = collector.has(2 * calls).await;
    server.stop().await.expect("it stops");
    let mut found = Vec::new();
    let is_of_call = |it: &&Received| it.span.kind == 2 && it.span.name.starts_with("etcdserverpb.");
    for call in received.iter().filter(is_of_call) {
        assert_eq!(call.resource["service.name"], "store");
        assert_eq!(call.resource["service.instance.id"], "one");
        assert_eq!(call.resource.len(), 2, "{:?}", call.resource);
        let mut attributes = named(&call.span.attributes);
        let port = server.endpoint().rsplit(':').next().unwrap_or_default().to_owned();
        assert_eq!(attributes.remove("server.address").as_deref(), Some("127.0.0.1"), "{call:?}");
        assert_eq!(attributes.remove("server.port"), Some(port), "{call:?}");
        assert!(call.span.parent_span_id.is_empty());
        found.push(format!("{} {attributes:?}", call.span.name));
        let works = received.iter().filter(|it| it.span.parent_span_id == call.span.span_id);
        found.extend(works.map(|work| {
            assert_eq!((&work.span.trace_id, &*work.scope), (&call.span.trace_id, "go.etcd.io/etcd"));
            format!("  {} {:?}", work.span.name, named(&work.span.attributes))
        }));
    }
    let call = |method: &str, code: &str| {
        format!(
            "etcdserverpb.{method} {{\"rpc.method\": \"etcdserverpb.{method}\", \"rpc.response.status_code\": \"{code}\", \
             \"rpc.system.name\": \"grpc\"}}"
        )
    };
    let range = |begin: &str, end: &str, rev: i64| {
        format!(
            "  range {{\"count_only\": \"false\", \"keys_only\": \"false\", \"limit\": \"0\", \"range_begin\": \"{begin}\", \
             \"range_end\": \"{end}\", \"rev\": \"{rev}\"}}"
        )
    };
    let expected = [
        call("KV/Put", "OK"),
        r#"  put {"key": "a"}"#.to_owned(),
        call("KV/Range", "OK"),
        range("a", "b", 0),
        call("KV/Txn", "OK"),
        concat!(
            r#"  txn {"compare_first_key": "a", "compare_len": "1", "failure_len": "1", "read_only": "false", "#,
            r#""success_first_key": "b", "success_first_lease": "0", "success_first_type": "put", "success_len": "2"}"#
        )
        .to_owned(),
        call("KV/DeleteRange", "OK"),
        r#"  delete_range {"range_begin": "a", "range_end": "b"}"#.to_owned(),
        call("Lease/LeaseGrant", "OK"),
        r#"  lease_grant {"id": "7", "ttl": "60"}"#.to_owned(),
        call("Lease/LeaseRevoke", "OK"),
        r#"  lease_revoke {"id": "7"}"#.to_owned(),
        call("KV/Compact", "OK"),
        r#"  compact {"is_physical": "true", "rev": "2"}"#.to_owned(),
        call("KV/Range", "OUT_OF_RANGE"),
        range("a", "", 99),
    ];
    assert_eq!(found, expected);
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Without a share of their own, calls are traced whose clients trace them, below the client's span.
async fn parents<C: Cluster>() {
    let (collector, address) = Collector::start().await;
    let Some((mut server, caller)) = start::<C>(address, &[]).await else { return };
    caller.call(put("a", "1")).await.expect("a put that is not traced");
    let of = |flags: &str| caller.with(&[("traceparent", &format!("00-{TRACE}-{PARENT}-{flags}"))]);
    of("00").call(put("a", "2")).await.expect("a put that is not traced either");
    of("01").call(put("a", "3")).await.expect("a put");
    let received = collector.has(2).await;
    server.stop().await.expect("it stops");
    assert_eq!(collector.spans().len(), 2, "{received:#?}");
    let call =
        received.iter().find(|it| it.span.name == "etcdserverpb.KV/Put").expect("the span of the call");
    assert_eq!(
        (hex(&call.span.trace_id), hex(&call.span.parent_span_id)),
        (TRACE.to_owned(), PARENT.to_owned())
    );
    let work = received.iter().find(|it| it.span.name == "put").expect("the span of its handler");
    assert_eq!(work.span.parent_span_id, call.span.span_id);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn no_collector<C: Cluster>() {
    // A port that was free a moment ago, and takes no connection.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let (mut server, caller) = start::<C>(address, &["--distributed-tracing-sampling-rate=1000000"])
        .await
        .expect("ferretcd is there");
    for _ in 0..20 {
        caller.call(put("a", "1")).await.expect("a put");
    }
    Metrics::until(&server, "spans are counted as lost", |metrics| {
        metrics.get("ferretcd_tracing_dropped_total").is_some_and(|lost| lost >= 40.0)
    })
    .await;
    server.stop().await.expect("it stops");
    assert!(server.logs().contains("losing spans of distributed tracing"), "{}", server.logs());
}
