//! A server with the three methods that the tests call.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ferretcd_api_proto::etcdserverpb as pb;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

/// How a server behaves. By default every request succeeds.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    pub(crate) rejects_with: Option<Code>,
    pub(crate) is_silent: bool,
    /// The bytes of a response body, before trailers that report success; the message of the method if `None`.
    pub(crate) body: Option<&'static [u8]>,
    /// Whether the trailers have no status.
    pub(crate) hides_status: bool,
    /// With authentication there is a user `u`.
    pub(crate) password: Option<&'static str>,
}

/// A running server. It ends with the runtime.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    behaviour: Behaviour,
    n_received: AtomicUsize,
    tokens: Mutex<Vec<String>>,
}

impl Server {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), behaviour)
    }

    pub(crate) fn start_on(listener: TcpListener, behaviour: Behaviour) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Shared { behaviour, n_received: AtomicUsize::new(0), tokens: Mutex::default() };
        let shared = Arc::new(shared);
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared }
    }

    /// Requests, without those to log in.
    pub(crate) fn n_received(&self) -> usize {
        self.shared.n_received.load(Ordering::Relaxed)
    }

    /// The tokens of those that had one.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.shared.tokens.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| Arc::clone(&shared).serve(request));
        tokio::spawn(Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service));
    }
}

impl Shared {
    async fn serve(
        self: Arc<Self>,
        request: http::Request<Incoming>,
    ) -> Result<http::Response<Body>, Infallible> {
        if self.behaviour.is_silent {
            pending::<()>().await;
        }
        let path = request.uri().path().to_owned();
        if path != "/etcdserverpb.Auth/Authenticate" {
            self.n_received.fetch_add(1, Ordering::Relaxed);
            let token = request.headers().get("token").map(|token| token.to_str().unwrap().to_owned());
            self.tokens.lock().unwrap().extend(token);
        }
        if let Some(bytes) = self.behaviour.body {
            return Ok(raw(bytes, !self.behaviour.hides_status));
        }
        let header = Some(pb::ResponseHeader { revision: 7, ..Default::default() });
        let response = match path.as_str() {
            "/etcdserverpb.Auth/Authenticate" => unary(request, |login| self.authenticate(&login)).await,
            "/etcdserverpb.KV/Range" => {
                let response = pb::RangeResponse { header, ..Default::default() };
                unary(request, |_: pb::RangeRequest| self.verdict(response)).await
            }
            "/etcdserverpb.KV/Put" => {
                let response = pb::PutResponse { header, ..Default::default() };
                unary(request, |_: pb::PutRequest| self.verdict(response)).await
            }
            _ => http::Response::builder().status(404).body(Body::empty()).unwrap(),
        };
        Ok(response)
    }

    fn verdict<A>(&self, response: A) -> Result<A, Status> {
        match self.behaviour.rejects_with {
            None => Ok(response),
            Some(code) => Err(Status::new(code, "as the test wants")),
        }
    }

    fn authenticate(&self, login: &pb::AuthenticateRequest) -> Result<pb::AuthenticateResponse, Status> {
        match self.behaviour.password {
            None => Err(Status::failed_precondition("authentication is not enabled")),
            Some(password) if password == login.password => {
                let token = format!("token of {}", login.name);
                Ok(pb::AuthenticateResponse { token, ..Default::default() })
            }
            Some(_) => Err(Status::invalid_argument("wrong password")),
        }
    }
}

/// A response with these bytes for its body.
fn raw(bytes: &'static [u8], has_status: bool) -> http::Response<Body> {
    let mut trailers = http::HeaderMap::new();
    if has_status {
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    }
    let body = Full::new(Bytes::from_static(bytes)).with_trailers(ready(Some(Ok(trailers))));
    let response = http::Response::builder().header("content-type", "application/grpc");
    response.body(Body::new(body)).unwrap()
}

async fn unary<Q, A>(
    request: http::Request<Incoming>,
    respond: impl FnOnce(Q) -> Result<A, Status>,
) -> http::Response<Body>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let mut respond = Some(respond);
    let service = tower::service_fn(|request: tonic::Request<Q>| {
        let respond = respond.take().expect("a unary call has one request");
        ready(respond(request.into_inner()).map(tonic::Response::new))
    });
    Grpc::new(ProstCodec::<A, Q>::default()).unary(service, request).await
}
