//! What `MetricsLayer` counts, seen in the registry.

use std::convert::Infallible;

use bytes::Bytes;
use ferretcd_interceptors::{MetricsConfig, MetricsLayer, Rpc, RpcKind};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use prometheus::{Registry, TextEncoder};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{PUT, RPCS, TestBody, WATCH, begin, frames, message, read, request, response, status};

struct Scene {
    registry: Registry,
    layer: MetricsLayer,
}

impl Scene {
    fn new(extensive: bool) -> Scene {
        let registry = Registry::new();
        let layer = MetricsLayer::register(MetricsConfig { rpcs: RPCS, extensive }, &registry).unwrap();
        Scene { registry, layer }
    }

    fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }

    #[track_caller]
    fn check(&self, series: &str, value: u64) {
        let text = self.text();
        let line = format!("{series} {value}");
        assert!(text.lines().any(|found| found == line), "expected {line} in\n{text}");
    }

    /// Lets a service read the whole request and respond with `body`.
    async fn call(
        &self,
        request: Request<TestBody>,
        body: TestBody,
    ) -> Response<impl Body<Data = Bytes, Error = &'static str> + use<>> {
        self.respond(request, Response::new(body)).await
    }

    async fn respond(
        &self,
        request: Request<TestBody>,
        response: Response<TestBody>,
    ) -> Response<impl Body<Data = Bytes, Error = &'static str> + use<>> {
        let mut response = Some(response);
        let inner = service_fn(move |request: Request<_>| {
            let response = response.take().expect("the service is called once");
            async move {
                read(request.into_body()).await.unwrap();
                Ok::<_, Infallible>(response)
            }
        });
        self.layer.layer(inner).oneshot(request).await.unwrap()
    }
}

/// Reads the whole request, and never responds.
async fn read_all<B>(request: Request<B>) -> Result<Response<TestBody>, Infallible>
where
    B: Body<Data = Bytes, Error = &'static str>,
{
    let mut body = Box::pin(request.into_body());
    while body.frame().await.is_some() {}
    std::future::pending().await
}

const PUT_LABELS: &str = r#"grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary""#;
const WATCH_LABELS: &str = r#"grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream""#;

fn handled(code: &str, labels: &str) -> String {
    format!(r#"grpc_server_handled_total{{grpc_code="{code}",{labels}}}"#)
}

fn clients(version: &str, kind: &str) -> String {
    format!(r#"etcd_server_client_requests_total{{client_api_version="{version}",type="{kind}"}}"#)
}

#[test]
fn all_series_exist_before_the_first_call() {
    let text = Scene::new(false).text();
    let count = |prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
    assert_eq!(count("grpc_server_handled_total{"), 17 * RPCS.len());
    for family in ["started", "msg_received", "msg_sent"] {
        assert_eq!(count(&format!("grpc_server_{family}_total{{")), RPCS.len(), "{family}");
    }
    assert_eq!(count("grpc_server_handling_seconds"), 0);
    assert_eq!(count("etcd_network_client_grpc_sent_bytes_total 0"), 1);
}

#[tokio::test]
async fn unary_call_counts_one_message_each_way() {
    let scene = Scene::new(false);
    let (first, second) = (message(b"hello").slice(..3), message(b"hello").slice(3..));
    let response = scene.call(request(PUT, vec![first, second]), response(b"ok")).await;
    assert_eq!(read(response.into_body()).await.unwrap(), message(b"ok"));
    scene.check(&format!("grpc_server_started_total{{{PUT_LABELS}}}"), 1);
    scene.check(&format!("grpc_server_msg_received_total{{{PUT_LABELS}}}"), 1);
    scene.check(&format!("grpc_server_msg_sent_total{{{PUT_LABELS}}}"), 1);
    scene.check(&handled("OK", PUT_LABELS), 1);
    scene.check(&handled("Canceled", PUT_LABELS), 0);
    scene.check("etcd_network_client_grpc_received_bytes_total", 5);
    scene.check("etcd_network_client_grpc_sent_bytes_total", 2);
}

#[tokio::test]
async fn rejection_is_handled_by_its_headers() {
    let scene = Scene::new(false);
    let mut rejection = Response::new(frames(vec![], None));
    *rejection.headers_mut() = status("9");
    drop(scene.respond(request(PUT, vec![message(b"")]), rejection).await);
    scene.check(&handled("FailedPrecondition", PUT_LABELS), 1);
    scene.check(&handled("Canceled", PUT_LABELS), 0);
    // etcd counts the error as a message, too.
    scene.check(&format!("grpc_server_msg_sent_total{{{PUT_LABELS}}}"), 1);
    scene.check("etcd_network_client_grpc_sent_bytes_total", 0);
}

#[tokio::test]
async fn unary_call_whose_request_is_not_read_counts_one_message_each_way() {
    let scene = Scene::new(false);
    let rejecting = service_fn(async |_: Request<_>| {
        let mut rejection = Response::new(frames(vec![], None));
        *rejection.headers_mut() = status("14");
        Ok::<_, Infallible>(rejection)
    });
    drop(scene.layer.layer(rejecting).oneshot(request(PUT, vec![message(b"")])).await);
    for family in ["started", "msg_received", "msg_sent"] {
        scene.check(&format!("grpc_server_{family}_total{{{PUT_LABELS}}}"), 1);
    }
    scene.check("etcd_network_client_grpc_received_bytes_total", 0);
}

#[tokio::test]
async fn stream_counts_the_receive_that_finds_its_end() {
    let scene = Scene::new(false);
    let received = format!("grpc_server_msg_received_total{{{WATCH_LABELS}}}");
    drop(scene.call(request(WATCH, vec![message(b"a")]), response(b"")).await);
    scene.check(&received, 2);

    // The client gives up before there is a response.
    drop(begin(scene.layer.layer(service_fn(read_all)).oneshot(request(WATCH, vec![message(b"a")]))).await);
    scene.check(&received, 4);

    let rejecting =
        service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(frames(vec![], None))));
    drop(scene.layer.layer(rejecting).oneshot(request(WATCH, vec![message(b"a")])).await);
    scene.check(&received, 4);
}

#[tokio::test]
async fn stream_is_handled_when_it_ends() {
    let scene = Scene::new(false);
    let body = frames(vec![Ok(message(b"1")), Ok(message(b"22"))], Some(status("14")));
    let response = scene.call(request(WATCH, vec![message(b"a"), message(b"b")]), body).await;
    let mut body = Box::pin(response.into_body());
    body.frame().await.unwrap().unwrap();
    scene.check(&format!("grpc_server_msg_received_total{{{WATCH_LABELS}}}"), 3);
    scene.check(&format!("grpc_server_msg_sent_total{{{WATCH_LABELS}}}"), 1);
    scene.check(&handled("Unavailable", WATCH_LABELS), 0);
    read(body).await.unwrap();
    scene.check(&format!("grpc_server_msg_sent_total{{{WATCH_LABELS}}}"), 2);
    scene.check(&handled("Unavailable", WATCH_LABELS), 1);
}

#[tokio::test]
async fn call_given_up_counts_as_canceled() {
    let scene = Scene::new(false);
    drop(scene.call(request(WATCH, vec![]), frames(vec![Ok(message(b"1"))], None)).await);
    scene.check(&handled("Canceled", WATCH_LABELS), 1);

    let stuck = service_fn(|_: Request<_>| std::future::pending::<Result<Response<TestBody>, Infallible>>());
    drop(begin(scene.layer.layer(stuck).oneshot(request(PUT, vec![]))).await);
    scene.check(&handled("Canceled", PUT_LABELS), 1);
}

#[tokio::test]
async fn end_without_status_counts_as_unknown() {
    let scene = Scene::new(false);
    for body in [frames(vec![Ok(message(b"1"))], None), frames(vec![], Some(HeaderMap::new()))] {
        let response = scene.call(request(PUT, vec![]), body).await;
        read(response.into_body()).await.unwrap();
    }
    let broken = scene.call(request(PUT, vec![]), frames(vec![Err("reset")], None)).await;
    assert_eq!(read(broken.into_body()).await, Err("reset"));
    scene.check(&handled("Unknown", PUT_LABELS), 3);

    let failing = service_fn(async |_: Request<_>| Err::<Response<TestBody>, _>("no connection"));
    let result = scene.layer.layer(failing).oneshot(request(PUT, vec![])).await;
    assert_eq!(result.err(), Some("no connection"));
    scene.check(&handled("Unknown", PUT_LABELS), 4);
}

#[tokio::test]
async fn calls_are_counted_by_client_version() {
    let scene = Scene::new(false);
    for version in [&b"3.7"[..], b"3.7", b"\xff"] {
        let mut request = request(PUT, vec![]);
        request.headers_mut().insert("client-api-version", HeaderValue::from_bytes(version).unwrap());
        scene.call(request, response(b"")).await;
    }
    scene.call(request(WATCH, vec![]), response(b"")).await;
    scene.check(&clients("3.7", "unary"), 2);
    scene.check(&clients("unknown", "unary"), 1);
    scene.check(&clients("unknown", "stream"), 1);
}

#[tokio::test]
async fn extensive_metrics_measure_time() {
    let scene = Scene::new(true);
    let response = scene.call(request(PUT, vec![]), response(b"")).await;
    scene.check(&format!("grpc_server_handling_seconds_count{{{PUT_LABELS}}}"), 0);
    read(response.into_body()).await.unwrap();
    scene.check(&format!("grpc_server_handling_seconds_count{{{PUT_LABELS}}}"), 1);
    scene.check(&format!("grpc_server_handling_seconds_bucket{{{PUT_LABELS},le=\"10\"}}"), 1);
}

#[tokio::test]
async fn unlisted_methods_pass_uncounted() {
    let scene = Scene::new(false);
    let before = scene.text();
    let unlisted = Rpc::new("/other.Service/Method", RpcKind::Unary);
    let response = scene.call(request(unlisted, vec![message(b"hello")]), response(b"ok")).await;
    assert_eq!(read(response.into_body()).await.unwrap(), message(b"ok"));
    assert_eq!(scene.text(), before);
}

#[test]
fn registry_takes_one_layer() {
    let scene = Scene::new(false);
    let config = MetricsConfig { rpcs: RPCS, extensive: false };
    assert!(MetricsLayer::register(config, &scene.registry).is_err());
}
