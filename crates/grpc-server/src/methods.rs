//! Routing: the services by the path of a call.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use ferretcd_interceptors::RpcKind;
use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

use crate::{RequestBody, rpcs};

/// A gRPC service with its layers, its types erased: what layers of one's own wrap.
pub type Handler = BoxCloneSyncService<Request<RequestBody>, Response<Body>, Infallible>;

/// A service of gRPC requests: those that tonic generates, and those that tower layers make of a [`Handler`].
pub trait IntoHandler: Send + 'static {
    /// Erases the type.
    fn into_handler(self) -> Handler;
}

impl<S, B> IntoHandler for S
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    fn into_handler(self) -> Handler {
        BoxCloneSyncService::new(self.map_response(|response| response.map(Body::new)))
    }
}

/// All methods.
#[derive(Clone, Default)]
pub(crate) struct Methods {
    /// Those of etcd, by the whole path of a call.
    by_path: HashMap<&'static str, Method>,
    /// Those of other services, by the name of the service.
    by_service: HashMap<&'static str, Method>,
}

/// One method of a service.
#[derive(Clone)]
pub(crate) struct Method {
    service: Arc<dyn Call>,
    /// Whether the response may have many messages.
    pub(crate) streams: bool,
}

impl Methods {
    /// Enters a service under the paths of all of its methods.
    pub(crate) fn add<S, B>(&mut self, service: S)
    where
        S: NamedService,
        Erased<S>: Call + 'static,
        S: Service<Request<RequestBody>, Response = Response<B>>,
    {
        let service: Arc<dyn Call> = Arc::new(Erased(service));
        for rpc in rpcs::RPCS.iter().filter(|rpc| rpc.service() == S::NAME) {
            let streams = matches!(rpc.kind(), RpcKind::ServerStream | RpcKind::BidiStream);
            self.by_path.insert(rpc.path(), Method { service: Arc::clone(&service), streams });
        }
    }

    /// Enters a service of one method, in place of the service that had it.
    pub(crate) fn replace<S>(&mut self, path: &'static str, service: S)
    where
        Erased<S>: Call + 'static,
    {
        let method = self.by_path.get_mut(path).expect("it replaces a method of a service that was added");
        method.service = Arc::new(Erased(service));
    }

    /// Enters a service that is not etcd's, with all of its methods.
    pub(crate) fn add_other<S: NamedService + IntoHandler>(&mut self, service: S) {
        let service: Arc<dyn Call> = Arc::new(Erased(service.into_handler()));
        // Which of its methods stream is not known, and only a deadline for the whole response does for all.
        self.by_service.insert(S::NAME, Method { service, streams: true });
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Method> {
        let of_service = || {
            let (service, _) = path.strip_prefix('/')?.split_once('/')?;
            self.by_service.get(service)
        };
        self.by_path.get(path).or_else(of_service)
    }

    pub(crate) fn has_service(&self, name: &str) -> bool {
        rpcs::RPCS.iter().any(|rpc| rpc.service() == name && self.by_path.contains_key(rpc.path()))
    }

    /// Puts a layer around every method.
    pub(crate) fn wrap<L>(&mut self, layer: &L)
    where
        L: Layer<Handler>,
        L::Service: IntoHandler,
    {
        for method in self.by_path.values_mut().chain(self.by_service.values_mut()) {
            let handler = BoxCloneSyncService::new(Shared(Arc::clone(&method.service)));
            method.service = Arc::new(Erased(layer.layer(handler).into_handler()));
        }
    }
}

impl Method {
    pub(crate) fn call(&self, request: Request<RequestBody>) -> BoxFuture<Response<Body>, Infallible> {
        self.service.call(request)
    }
}

/// A service that is called without being cloned first, which would copy all of its layers to the heap.
pub(crate) trait Call: Send + Sync {
    fn call(&self, request: Request<RequestBody>) -> BoxFuture<Response<Body>, Infallible>;
}

/// Erases the type of a service. Services made by tonic, and their layers, are always ready.
pub(crate) struct Erased<S>(S);

impl<S, B> Call for Erased<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    fn call(&self, request: Request<RequestBody>) -> BoxFuture<Response<Body>, Infallible> {
        let response = self.0.clone().oneshot(request);
        Box::pin(async { response.await.map(|response| response.map(Body::new)) })
    }
}

/// A method as the inside of a tower layer.
#[derive(Clone)]
struct Shared(Arc<dyn Call>);

impl Service<Request<RequestBody>> for Shared {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        self.0.call(request)
    }
}
