//! A server with a layer of one's own: calls that don't say which team they are from are refused, the others are
//! counted.
//!
//! `cargo run -p ferretcd-grpc-server --example own_layer`

use std::future::ready;
use std::io::{Write as _, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::kv_client::KvClient;
use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeRequest};
use ferretcd_engine::{Alone, Engine};
use ferretcd_grpc_server::{Config, Handler, Server};
use ferretcd_listen::{Listener, SocketOptions, bind, serve};
use http::Request;
use hyper::body::Incoming;
use prometheus::Registry;
use tokio::runtime::Handle;
use tonic::Status;
use tonic::transport::Channel;
use tower::Service;

/// Stands around the handler of each method.
#[derive(Clone)]
struct Teams {
    inner: Handler,
    admitted: Arc<AtomicUsize>,
}

impl Service<Request<Incoming>> for Teams {
    type Response = <Handler as Service<Request<Incoming>>>::Response;
    type Error = <Handler as Service<Request<Incoming>>>::Error;
    type Future = <Handler as Service<Request<Incoming>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if !request.headers().contains_key("team") {
            return Box::pin(ready(Ok(Status::permission_denied("which team are you?").into_http())));
        }
        self.admitted.fetch_add(1, Ordering::Relaxed);
        self.inner.call(request)
    }
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let (registry, admitted) = (Registry::new(), Arc::new(AtomicUsize::new(0)));
    let engine_config = ferretcd_engine::Config::new("default", dir.path(), "http://localhost:2380", 0);
    let engine = Engine::start(engine_config, Arc::new(Alone), &registry, &Handle::current())?;
    engine.publish().await?;
    let server = Server::new(&engine, config(), pages_config(), &registry)?
        .map(|inner| Handler::new(Teams { inner, admitted: Arc::clone(&admitted) }));
    let listener = Listener::plain(bind("127.0.0.1:0", SocketOptions::default())?);
    let url = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(serve(vec![server.endpoint(listener)], port_config(), server.drain()));

    let channel = Channel::from_shared(url)?.connect().await?;
    let mut nobody = KvClient::new(channel.clone());
    let refusal =
        nobody.range(RangeRequest { key: "a".into(), ..RangeRequest::default() }).await.unwrap_err();
    let mut blue = KvClient::with_interceptor(channel, |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("team", tonic::metadata::MetadataValue::from_static("blue"));
        Ok(request)
    });
    blue.put(PutRequest { key: "a".into(), ..PutRequest::default() }).await?;
    drop((nobody, blue));

    let admitted = admitted.load(Ordering::Relaxed);
    writeln!(stdout(), "admitted {admitted}, refused with {:?}", refusal.message())?;
    assert_eq!((admitted, refusal.message()), (1, "which team are you?"));
    server.stop();
    serving.await?;
    engine.stop().await;
    Ok(())
}

// What etcd's flags have as their defaults.

fn config() -> Config {
    Config {
        request_bytes_max: 1_572_864,
        txn_ops_max: 128,
        watch_progress_interval: Duration::from_secs(600),
        slow_request: Duration::from_millis(300),
        extensive_metrics: false,
    }
}

fn port_config() -> ferretcd_listen::Config {
    ferretcd_listen::Config {
        concurrent_streams_max: u32::MAX,
        keepalive_interval: Some(Duration::from_secs(7200)),
        keepalive_timeout: Duration::from_secs(20),
        drain_timeout: Duration::from_secs(5),
    }
}

fn pages_config() -> ferretcd_http_pages::Config {
    let everyone = || vec!["*".to_owned()];
    ferretcd_http_pages::Config {
        cors: everyone(),
        host_whitelist: everyone(),
        read_timeout: Duration::from_secs(7),
    }
}
