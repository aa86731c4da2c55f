//! A server with a layer of one's own: requests that don't name their team are rejected.
//!
//! `cargo run -p ferretcd-embed --example own_layer`

use std::io::{Write as _, stdout};

use ferretcd_api_proto::etcdserverpb::PutRequest;
use ferretcd_api_proto::etcdserverpb::kv_client::KvClient;
use ferretcd_embed::{Config, Server};
use tonic::metadata::MetadataValue;
use tonic::service::InterceptorLayer;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Stands around every gRPC method. Any other tower layer would do as well.
fn check_team(request: Request<()>) -> Result<Request<()>, Status> {
    match request.metadata().get("team") {
        Some(_) => Ok(request),
        None => Err(Status::permission_denied("which team are you?")),
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let builder = Server::builder(Config::standalone(dir.path()));
    let server = builder.layer(InterceptorLayer::new(check_team)).start().await?;

    let url = server.client_urls()[0].to_string();
    let mut client = KvClient::new(Channel::from_shared(url)?.connect().await?);
    let put = PutRequest { key: "greeting".into(), value: "hello".into(), ..PutRequest::default() };
    let rejected = client.put(put.clone()).await.expect_err("the request names no team");
    let mut request = Request::new(put);
    request.metadata_mut().insert("team", MetadataValue::from_static("blue"));
    let header = client.put(request).await?.into_inner().header.expect("each response has one");
    writeln!(stdout(), "{}; the blue team wrote revision {}", rejected.message(), header.revision)?;

    server.stop().await;
    Ok(())
}
