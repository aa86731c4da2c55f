//! gRPC without a library: for requests that a library would not send and deadlines that it would enforce itself.

mod burst;
mod frames;
mod page;
mod pings;

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use ferretcd_testkit::grpc::percent_decoded;
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;

pub use ferretcd_testkit::grpc::frame;

pub use burst::cancelled_at_once;
pub use page::{Page, fetch, page};
pub use pings::Pinging;

/// What a server sent back.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status; 200 for every outcome of an rpc.
    pub status: StatusCode,
    /// Headers of the response.
    pub headers: HeaderMap,
    /// The frames of the body, as they came.
    pub body: Bytes,
    /// Trailers; empty when the outcome was in the headers already.
    pub trailers: HeaderMap,
}

impl Response {
    /// `CODE TEXT` of the outcome.
    pub fn outcome(&self) -> String {
        let field = |name| {
            let value = self.trailers.get(name).or_else(|| self.headers.get(name));
            value.map_or(&b""[..], |value| value.as_bytes())
        };
        let (code, text) = (field("grpc-status"), percent_decoded(field("grpc-message")));
        format!("{} {}", String::from_utf8_lossy(code), String::from_utf8_lossy(&text)).trim_end().to_owned()
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection could not be made.
    #[error("connect")]
    Connect(#[from] io::Error),
    /// The server broke off the connection or the rpc.
    #[error("call")]
    Http2(#[from] h2::Error),
    /// The request can't be built.
    #[error("build the request")]
    Request(#[from] http::Error),
}

/// Makes one rpc on a connection of its own. `endpoint` is a URL such as `http://127.0.0.1:2379`, `path` one such
/// as `/etcdserverpb.KV/Put`; `body` is sent as it is. `headers` are added to those that gRPC requires.
pub async fn call(
    endpoint: &str,
    path: &str,
    headers: &[(&str, &[u8])],
    body: Bytes,
) -> Result<Response, CallError> {
    let socket = TcpStream::connect(endpoint.trim_start_matches("http://")).await?;
    let (mut client, connection) = h2::client::handshake(socket).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::post(format!("{endpoint}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (response, mut sender) = client.send_request(request.body(())?, false)?;
    // A server that rejects a call need not wait for its body. The response tells.
    let _ = sender.send_data(body, true);
    let (head, mut stream) = response.await?.into_parts();
    let mut body = BytesMut::new();
    while let Some(part) = stream.data().await {
        let part = part?;
        stream.flow_control().release_capacity(part.len())?;
        body.put(part);
    }
    let trailers = stream.trailers().await?.unwrap_or_default();
    drop(client);
    driver.abort();
    Ok(Response { status: head.status, headers: head.headers, body: body.freeze(), trailers })
}
