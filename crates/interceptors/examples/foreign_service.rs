//! Logs and counts the calls of a service that knows nothing of etcd: the health service of tonic.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ferretcd_base::Threshold;
use ferretcd_interceptors::{LogConfig, LogLayer, MetricsConfig, MetricsLayer, Rpc, RpcKind};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::server::TcpConnectInfo;
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower_layer::Layer;

const RPCS: &[Rpc] = &[
    Rpc::new("/grpc.health.v1.Health/Check", RpcKind::Unary),
    Rpc::new("/grpc.health.v1.Health/Watch", RpcKind::ServerStream),
];

#[expect(clippy::print_stdout, reason = "the example shows what was counted")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("ferretcd_interceptors=debug").init();

    let log = LogLayer::new(LogConfig {
        rpcs: RPCS,
        warning_unary_request_duration: Threshold::new(Duration::from_millis(300)),
        remote: |extensions| -> Option<SocketAddr> { extensions.get::<TcpConnectInfo>()?.remote_addr() },
    });
    let registry = prometheus::Registry::new();
    let metrics = MetricsLayer::register(MetricsConfig { rpcs: RPCS, extensive: false }, &registry)?;
    let (_reporter, health) = tonic_health::server::health_reporter();

    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = Server::builder().add_service(log.layer(metrics.layer(health)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let mut client = HealthClient::new(Channel::from_shared(url)?.connect().await?);
    client.check(HealthCheckRequest { service: String::new() }).await?;

    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather())?;
    for line in
        text.lines().filter(|line| line.starts_with("grpc_server_handled_total") && line.ends_with(" 1"))
    {
        println!("{line}");
    }
    Ok(())
}
