//! A server on a real listener, and HTTP/2 clients that decide about every frame.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeRequest, RangeResponse};
use ferretcd_engine::{Caller, Engine, NoPeers};
use ferretcd_grpc_server::{Config, Exposure, Server};
use ferretcd_listen::{Listener, serve};
use ferretcd_testkit::grpc;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use prometheus::Registry;
use prost::Message;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const PUT: &str = "/etcdserverpb.KV/Put";
pub(crate) const RANGE: &str = "/etcdserverpb.KV/Range";
pub(crate) const STREAM: &str = "/etcdserverpb.KV/RangeStream";

/// Long enough for any machine; reached only by a server that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what has to come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

/// A server that serves until it drains.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) server: Server,
    serving: JoinHandle<()>,
    _dir: TempDir,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::start_with(config(), port_config()).await
    }

    pub(crate) async fn start_with(config: Config, port: ferretcd_listen::Config) -> Self {
        let pages = ferretcd_http_pages::Config {
            cors: vec![],
            host_whitelist: vec![],
            read_timeout: PATIENCE,
            debug: Default::default(),
        };
        Self::start_with_pages(config, port, pages).await
    }

    pub(crate) async fn start_with_pages(
        config: Config,
        port: ferretcd_listen::Config,
        pages: ferretcd_http_pages::Config,
    ) -> Self {
        Self::start_on(config, port, pages, |_| ()).await
    }

    /// With so many bytes for long responses.
    pub(crate) async fn start_with_budget(bytes: u64) -> Self {
        let pages = ferretcd_http_pages::Config {
            cors: vec![],
            host_whitelist: vec![],
            read_timeout: PATIENCE,
            debug: Default::default(),
        };
        Self::start_on(config(), port_config(), pages, |engine| engine.response_budget_bytes = bytes).await
    }

    async fn start_on(
        config: Config,
        port: ferretcd_listen::Config,
        pages: ferretcd_http_pages::Config,
        configure: impl FnOnce(&mut ferretcd_engine::Config),
    ) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let registry = Registry::new();
        let mut engine_config = engine_config(dir.path());
        configure(&mut engine_config);
        let engine = Engine::start(engine_config, Arc::new(NoPeers), &registry, &Handle::current());
        let engine = engine.unwrap_or_else(|error| panic!("failed to {error}"));
        engine.cluster().publish().await.expect("it is not stopped");
        let server = Server::new(&engine, config, pages, &registry).expect("an empty registry");
        let listener = listen().await;
        let address = listener.local_addr().expect("it is bound");
        let endpoints = vec![server.endpoint(Listener::plain(listener))];
        let serving = tokio::spawn(serve(endpoints, port, server.drain()));
        Self { address, engine, server, serving, _dir: dir }
    }

    /// Serves through another port until this one drains, and returns its address.
    pub(crate) async fn also_exposing(&self, exposure: Exposure) -> SocketAddr {
        let listener = listen().await;
        let address = listener.local_addr().expect("it is bound");
        let endpoints = vec![self.server.exposing(exposure).endpoint(Listener::plain(listener))];
        tokio::spawn(serve(endpoints, port_config(), self.server.drain()));
        address
    }

    /// Stops it; the task ends when it has.
    pub(crate) fn drain(self) -> JoinHandle<()> {
        self.server.stop();
        let (engine, serving, dir) = (self.engine, self.serving, self._dir);
        tokio::spawn(async move {
            serving.await.expect("serving does not panic");
            engine.stop().await;
            drop(dir);
        })
    }

    pub(crate) async fn put(&self, key: &str, value: impl Into<Bytes>) {
        let put = PutRequest { key: key.to_owned().into(), value: value.into(), ..PutRequest::default() };
        self.engine.kv().put(&Caller::ANONYMOUS, put).await.expect("a put");
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address, &Builder::new()).await
    }
}

async fn dial(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).await.expect("the server accepts");
    // As gRPC libraries do: else the system holds small frames back.
    socket.set_nodelay(true).expect("it is a TCP socket");
    socket
}

pub(crate) async fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("the loopback device has free ports")
}

pub(crate) fn config() -> Config {
    Config {
        request_bytes_max: 1_572_864,
        txn_ops_max: 128,
        watch_progress_interval: PATIENCE,
        slow_request: PATIENCE,
        response_stall_max: PATIENCE,
        extensive_metrics: false,
        has_gateway: true,
        ui: ferretcd_ui::Reach::Loopback,
    }
}

/// Without pings, and with all the time for a drain.
pub(crate) fn port_config() -> ferretcd_listen::Config {
    ferretcd_listen::Config {
        concurrent_streams_max: u32::MAX,
        keepalive_interval: None,
        ping_interval_min: Duration::from_secs(5),
        keepalive_timeout: PATIENCE,
        drain_timeout: PATIENCE,
    }
}

fn engine_config(dir: &Path) -> ferretcd_engine::Config {
    ferretcd_engine::Config {
        client_urls: vec![],
        quota_bytes: -1,
        backend_interval: Duration::from_millis(100),
        backend_cache_bytes: 4 << 20,
        row_cache_bytes: 4 << 20,
        slow_apply: PATIENCE,
        // What is on disk is not what is tested here.
        unsafe_no_fsync: true,
        ..ferretcd_engine::Config::new("default", dir, "http://localhost:2380", 1)
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) calls: SendRequest<Bytes>,
    pub(crate) connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, builder: &Builder) -> Self {
        Self::on(dial(address).await, builder).await
    }

    pub(crate) async fn on(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        builder: &Builder,
    ) -> Self {
        let (calls, connection) = builder.handshake(io).await.expect("the client's preface can be written");
        Self { calls, connection: tokio::spawn(connection) }
    }

    /// Begins a call; its request is what the stream gets.
    pub(crate) async fn begin(&self, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let mut calls =
            soon("room for a call", self.calls.clone().ready()).await.expect("an open connection");
        let request = Request::post(format!("http://server{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a well-formed request");
        calls.send_request(request, false).expect("the connection takes calls")
    }

    /// Sends a whole call.
    pub(crate) async fn send(&self, path: &str, message: &impl Message) -> ResponseFuture {
        let (response, mut request) = self.begin(path).await;
        // A rejected call may have ended before its body leaves. The response tells.
        let _ = request.send_data(frame(message), true);
        response
    }

    pub(crate) async fn call(&self, path: &str, message: &impl Message) -> FullResponse {
        FullResponse::of(self.send(path, message).await).await
    }

    /// The value of a key.
    pub(crate) async fn get(&self, key: &str) -> Bytes {
        let range = range(key);
        let response = self.call(RANGE, &range).await;
        assert_eq!(response.outcome(), "0", "{key}");
        let response = RangeResponse::decode(response.message()).expect("a range response");
        response.kvs[0].decode().expect("a row").value
    }

    /// Plain HTTP on the same connection.
    pub(crate) async fn page(&self, path: &str) -> FullResponse {
        let mut calls = self.calls.clone().ready().await.expect("an open connection");
        let request = Request::get(format!("http://server{path}")).body(()).expect("a well-formed request");
        let (response, _) = calls.send_request(request, true).expect("the connection takes requests");
        FullResponse::of(response).await
    }
}

pub(crate) fn range(key: &str) -> RangeRequest {
    RangeRequest { key: key.to_owned().into(), ..RangeRequest::default() }
}

/// All keys.
pub(crate) fn everything() -> RangeRequest {
    RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..RangeRequest::default() }
}

/// A message as gRPC puts it into a body.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    grpc::frame(&message.encode_to_vec())
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct FullResponse {
    pub(crate) head: Response<()>,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl FullResponse {
    pub(crate) async fn of(response: ResponseFuture) -> Self {
        let (head, body) = soon("a response", response).await.expect("the call has a response").into_parts();
        Self::read(Response::from_parts(head, ()), body).await
    }

    pub(crate) async fn read(head: Response<()>, mut stream: RecvStream) -> Self {
        let mut body = BytesMut::new();
        while let Some(part) = soon("a part of a body", stream.data()).await {
            let part = part.expect("the response is not broken off");
            stream.flow_control().release_capacity(part.len()).expect("it was received");
            body.put(part);
        }
        let trailers = soon("the trailers", stream.trailers()).await.expect("the response is not broken off");
        Self { head, body: body.freeze(), trailers: trailers.unwrap_or_default() }
    }

    /// Code and text of a gRPC call's outcome.
    pub(crate) fn outcome(&self) -> String {
        let field = |name| self.trailers.get(name).or_else(|| self.head.headers().get(name));
        let text = |name| field(name).map_or("", |value| value.to_str().expect("a text in ASCII"));
        format!("{} {}", text("grpc-status"), text("grpc-message")).trim_end().to_owned()
    }

    /// The only message.
    pub(crate) fn message(&self) -> Bytes {
        let [message] = &self.messages()[..] else { panic!("more or less than one message: {self:?}") };
        message.clone()
    }

    pub(crate) fn messages(&self) -> Vec<Bytes> {
        let mut rest = self.body.clone();
        let mut messages = Vec::new();
        while rest.has_remaining() {
            assert_eq!(rest.get_u8(), 0, "nothing is compressed");
            let length = rest.get_u32() as usize;
            messages.push(rest.split_to(length));
        }
        messages
    }
}

/// For tests that measure the memory of their process, to which all tests beside them would add. Runs the test called
/// `name` once more in a process of its own, and is true there.
pub(crate) fn is_alone(name: &str) -> bool {
    const MARK: &str = "FERRETCD_TEST_ALONE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("a running program has a file");
    let output = std::process::Command::new(program).args(["--exact", name]).env(MARK, "1").output();
    let output = output.expect("it starts once more");
    let text = String::from_utf8_lossy(&output.stdout);
    // A name that no test has would be a success of nothing.
    assert!(text.contains("1 passed"), "{name} did not pass in a process of its own: {text}");
    false
}

/// Memory of this process in use, in bytes.
pub(crate) fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("memory is listed");
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes << 10
}

/// A socket whose owner can stop listening.
pub(crate) struct Deaf {
    socket: TcpStream,
    ear: Ear,
}

/// Whether a [`Deaf`] socket is read, and the task that waits for it.
#[derive(Clone, Default)]
pub(crate) struct Ear(Arc<Mutex<(bool, Option<Waker>)>>);

impl Ear {
    pub(crate) fn set(&self, hears: bool) {
        let mut state = self.0.lock().expect("no holder panics");
        state.0 = hears;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }
}

impl Deaf {
    /// It hears at first.
    pub(crate) async fn connect(address: SocketAddr) -> (Self, Ear) {
        let socket = dial(address).await;
        let ear = Ear::default();
        ear.set(true);
        (Self { socket, ear: ear.clone() }, ear)
    }
}

impl AsyncRead for Deaf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        {
            let mut state = this.ear.0.lock().expect("no holder panics");
            if !state.0 {
                state.1 = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        Pin::new(&mut this.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
