//! All layers around one service, in the order of the server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferretcd_base::Threshold;
use ferretcd_interceptors::{
    Admit, Auth, AuthInfo, AuthLayer, Authenticate, Log, LogConfig, LogLayer, Metrics, MetricsConfig,
    MetricsLayer, Quota, QuotaConfig, QuotaLayer, Rejection,
};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use prometheus::Registry;
use tonic::{Code, Status};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::support::{PUT, RPCS, message, read, request, response};

struct AnyCaller;

impl Authenticate for AnyCaller {
    fn check(&self, _parts: &Parts) -> Result<AuthInfo, Status> {
        Ok(AuthInfo::User { name: "root".into(), revision: 1 })
    }
}

struct Tight;

impl Admit for Tight {
    fn near_limit(&self, _path: &str) -> bool {
        true
    }

    fn admit(&self, _path: &str, _message: &Bytes) -> Result<(), Rejection> {
        Ok(())
    }
}

type Stack<S> = Log<Metrics<Auth<Quota<S, dyn Admit>, AnyCaller>>>;

/// The layers around `inner`, outermost first.
fn stack<S>(registry: &Registry, inner: S) -> Stack<S> {
    let log = LogConfig {
        rpcs: RPCS,
        warning_unary_request_duration: Threshold::new(Duration::from_millis(300)),
        remote: |_extensions| None,
    };
    let metrics = MetricsConfig { rpcs: RPCS, extensive: true };
    ServiceBuilder::new()
        .layer(LogLayer::new(log))
        .layer(MetricsLayer::register(metrics, registry).unwrap())
        .layer(AuthLayer::new(Arc::new(AnyCaller)))
        .layer(QuotaLayer::new(QuotaConfig { request_bytes_max: 100 }, Arc::new(Tight) as Arc<dyn Admit>))
        .service(inner)
}

#[tokio::test]
async fn call_passes_all_layers() {
    let service = stack(
        &Registry::new(),
        service_fn(async |request: Request<_>| {
            assert!(matches!(AuthInfo::of(request.extensions()), AuthInfo::User { revision: 1, .. }));
            assert_eq!(read(request.into_body()).await.unwrap(), message(b"hello"));
            Ok::<_, Infallible>(Response::new(response(b"ok")))
        }),
    );
    let response = service.oneshot(request(PUT, vec![message(b"hello")])).await.unwrap();
    assert_eq!(read(response.into_body()).await.unwrap(), message(b"ok"));
}

#[tokio::test]
async fn tonic_service_in_all_layers_is_still_one() {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let path = "/grpc.health.v1.Health/Check";
    let request = Request::post(path).header("content-type", "application/grpc");
    let request = request.body(tonic::body::Body::new(Full::new(message(b"")))).unwrap();
    let routes = tonic::service::Routes::new(stack(&Registry::new(), health));
    let response = routes.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(Status::from_header_map(body.trailers().unwrap()).unwrap().code(), Code::Ok);
}
