//! All layers around one service, in the order of the server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferretcd_interceptors::{
    Admit, AuthInfo, AuthLayer, Authenticate, LogConfig, LogLayer, MetricsConfig, MetricsLayer, QuotaConfig,
    QuotaLayer,
};
use http::request::Parts;
use http::{Request, Response};
use prometheus::Registry;
use tonic::Status;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::support::{PUT, RPCS, answer, message, read, request};

struct Everybody;

impl Authenticate for Everybody {
    fn check(&self, _parts: &Parts) -> Result<AuthInfo, Status> {
        Ok(AuthInfo::User { name: "root".into(), revision: 1 })
    }
}

struct Tight;

impl Admit for Tight {
    fn near_limit(&self, _path: &str) -> bool {
        true
    }

    fn admit(&self, _path: &str, _message: &Bytes) -> Result<(), Status> {
        Ok(())
    }
}

#[tokio::test]
async fn a_call_passes_all_layers() {
    let registry = Registry::new();
    let log = LogConfig {
        rpcs: RPCS,
        warning_unary_request_duration: Duration::from_millis(300),
        remote: |_extensions| None,
    };
    let metrics = MetricsConfig { rpcs: RPCS, extensive: true };
    let service = ServiceBuilder::new()
        .layer(LogLayer::new(log))
        .layer(AuthLayer::new(Arc::new(Everybody)))
        .layer(MetricsLayer::register(metrics, &registry).unwrap())
        .layer(QuotaLayer::new(QuotaConfig { request_bytes_max: 100 }, Arc::new(Tight) as Arc<dyn Admit>))
        .service(service_fn(async |request: Request<_>| {
            assert!(matches!(AuthInfo::of(request.extensions()), AuthInfo::User { revision: 1, .. }));
            assert_eq!(read(request.into_body()).await.unwrap(), message(b"hello"));
            Ok::<_, Infallible>(Response::new(answer(b"ok")))
        }));
    let response = service.oneshot(request(PUT, vec![message(b"hello")])).await.unwrap();
    assert_eq!(read(response.into_body()).await.unwrap(), message(b"ok"));
}
