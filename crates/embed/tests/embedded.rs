//! Servers that are started through the library.

use std::convert::Infallible;
use std::fs::File;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::kv_client::KvClient;
use ferretcd_api_proto::etcdserverpb::watch_client::WatchClient;
use ferretcd_api_proto::etcdserverpb::watch_request::RequestUnion;
use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeRequest, WatchCreateRequest, WatchRequest};
use ferretcd_embed::{Address, Config, Server, StartError, Url};
use http::{Request, Response};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::tokio_stream::{self, StreamExt as _};
use tonic::server::NamedService;
use tonic::service::InterceptorLayer;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::Service;

/// Long enough for any machine; reached only by a server that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(server: &Server) -> Channel {
    let url = server.client_urls()[0].to_string();
    Channel::from_shared(url).expect("a URL").connect().await.expect("the port is bound")
}

fn dir() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A service that responds to every method with an error that names the method.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl<B> Service<Request<B>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        std::future::ready(Ok(Status::aborted(request.uri().path()).into_http()))
    }
}

/// Calls a method without a message.
async fn call(channel: Channel, path: &'static str) -> Status {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("connected");
    let codec = tonic_prost::ProstCodec::<RangeRequest, RangeRequest>::default();
    let path = http::uri::PathAndQuery::from_static(path);
    grpc.unary(tonic::Request::new(RangeRequest::default()), path, codec).await.expect_err("rejected")
}

#[tokio::test]
async fn added_services_are_served_inside_all_layers() {
    fn close(_: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        Err(Status::resource_exhausted("closed"))
    }
    let (first, second) = (dir(), dir());
    let open = Server::builder(Config::standalone(first.path())).add_service(Echo);
    let open = open.start().await.expect("started");
    let status = call(connect(&open).await, "/test.Echo/Any").await;
    assert_eq!((status.code(), status.message()), (Code::Aborted, "/test.Echo/Any"));
    let status = call(connect(&open).await, "/test.Other/Any").await;
    assert_eq!((status.code(), status.message()), (Code::Unimplemented, "unknown service test.Other"));
    open.stop().await;

    let closed = Server::builder(Config::standalone(second.path()));
    let closed = closed.layer(InterceptorLayer::new(close)).add_service(Echo);
    let closed = closed.start().await.expect("started");
    for path in ["/test.Echo/Any", "/etcdserverpb.KV/Range"] {
        assert_eq!(call(connect(&closed).await, path).await.code(), Code::ResourceExhausted, "{path}");
    }
    closed.stop().await;
}

#[tokio::test]
async fn data_stay_from_one_start_to_the_next() {
    let dir = dir();
    for revision in [2, 3] {
        let server = Server::builder(Config::standalone(dir.path())).start().await.expect("started");
        server.ready().await.expect("a sole member is its own leader");
        let put = PutRequest { key: "a".into(), ..PutRequest::default() };
        let response = KvClient::new(connect(&server).await).put(put).await.expect("written");
        assert_eq!(response.into_inner().header.map(|header| header.revision), Some(revision));
        server.stop().await;
    }
}

#[tokio::test]
async fn a_bound_port_is_an_error_before_anything_is_written() {
    let (first, second) = (dir(), dir());
    let server = Server::builder(Config::standalone(first.path())).start().await.expect("started");
    let mut config = Config::standalone(second.path());
    config.listen.client = server.client_urls().to_vec();
    let error = Server::builder(config).start().await.expect_err("the port is taken");
    assert!(matches!(error, StartError::Listen(_)), "{error}");
    assert_eq!(second.path().read_dir().expect("a directory").count(), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_aborted_closes_its_data() {
    let dir = dir();
    let mut config = Config::standalone(dir.path());
    // Without the other founder there is no leader.
    let other = ferretcd_membership::parse_initial_cluster("other=http://127.0.0.1:1").expect("a URL");
    config.cluster.initial_cluster.extend(other);
    let server = Server::builder(config.clone()).start().await.expect("started");
    server.abort().await;
    let server = Server::builder(config).start().await.expect("the lock is free again");
    server.stop().await;
}

/// Whether no server has the data directory open.
fn is_closed(dir: &Path) -> bool {
    File::open(dir.join("member/LOCK")).expect("a member has a lock").try_lock().is_ok()
}

#[tokio::test]
async fn a_stop_with_an_open_watch_and_an_idle_client_closes_the_data() {
    let dir = dir();
    let config = Config::standalone(dir.path());
    let server = Server::builder(config.clone()).start().await.expect("started");
    server.ready().await.expect("a sole member is its own leader");
    let _idle = connect(&server).await;
    let create = WatchCreateRequest { key: "a".into(), ..WatchCreateRequest::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let requests = tokio_stream::once(create).chain(tokio_stream::pending());
    let watch = WatchClient::new(connect(&server).await).watch(requests).await.expect("accepted");
    let mut watch = watch.into_inner();
    assert!(watch.message().await.expect("a response").expect("a response").created);
    assert!(!is_closed(dir.path()));

    timeout(PATIENCE, server.stop()).await.expect("it ends");
    assert!(is_closed(dir.path()));
    let server = Server::builder(config).start().await.expect("started again");
    server.stop().await;
}

#[tokio::test]
async fn a_stop_during_a_request_of_a_peer_closes_the_data() {
    let dir = dir();
    let mut config = Config::standalone(dir.path());
    config.listen.peer = vec![Url::parse("http://127.0.0.1:0").expect("a URL")];
    let server = Server::builder(config).start().await.expect("started");
    server.ready().await.expect("a sole member is its own leader");
    let mut peer =
        TcpStream::connect(server.addresses().peers[0].tcp().expect("a port")).await.expect("it is bound");
    // The server says that it waits for the body, which never comes.
    let head = b"POST /leases HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    peer.write_all(head).await.expect("the server reads");
    let mut line = [0; 12];
    peer.read_exact(&mut line).await.expect("the server writes");
    assert_eq!(&line, b"HTTP/1.1 100");

    timeout(PATIENCE, server.stop()).await.expect("it ends");
    assert!(is_closed(dir.path()));
}

#[tokio::test]
async fn paths_are_addresses_of_clients_as_well() {
    let dir = dir();
    let mut config = Config::standalone(dir.path().join("data"));
    let path = dir.path().join("a b");
    let url = Url::parse(&format!("unix://{}/a%20b", dir.path().display())).expect("a URL");
    config.listen.client.push(url.clone());
    config.advertise.client.clear();
    let server = Server::builder(config).start().await.expect("started");
    server.ready().await.expect("a sole member is its own leader");
    assert!(server.addresses().clients.contains(&Address::Unix(path.clone())));
    assert!(server.client_urls().contains(&url) && server.client_urls().len() == 2);
    UnixStream::connect(&path).await.expect("it is bound");
    timeout(PATIENCE, server.stop()).await.expect("it ends");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_directory_of_a_proxy_is_rejected() {
    let dir = dir();
    std::fs::create_dir(dir.path().join("proxy")).expect("made");
    let error = Server::builder(Config::standalone(dir.path())).start().await.expect_err("rejected");
    assert!(matches!(error, StartError::Contents(_)), "{error}");
}
