//! gRPC without a library: for requests that a library would not send and deadlines that it would enforce itself.

mod burst;
mod page;

use std::io;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;

pub use burst::cancelled_at_once;
pub use page::page;

/// What a server sent back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status; 200 for every outcome of an rpc.
    pub status: StatusCode,
    /// Headers of the response.
    pub headers: HeaderMap,
    /// The frames of the body, as they came.
    pub body: Bytes,
    /// Trailers; empty when the outcome was in the headers already.
    pub trailers: HeaderMap,
}

impl Answer {
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

/// The text of a status is percent-encoded; servers differ in what they encode beyond what they must.
fn percent_decoded(encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) if byte == b'%' => {
                out.push(decoded);
                rest = &after[2..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
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

/// Frames a message as gRPC does: one byte for whether it is compressed, its length, itself.
pub fn frame(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + message.len());
    out.put_u8(0);
    out.put_u32(u32::try_from(message.len()).expect("test messages are far below 4 GiB"));
    out.put_slice(message);
    out.freeze()
}

/// Makes one rpc on a connection of its own. `endpoint` is a URL such as `http://127.0.0.1:2379`, `path` one such
/// as `/etcdserverpb.KV/Put`; `body` is sent as it is. `headers` are added to those that gRPC requires.
pub async fn call(
    endpoint: &str,
    path: &str,
    headers: &[(&str, &[u8])],
    body: Bytes,
) -> Result<Answer, CallError> {
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
    sender.send_data(body, true)?;
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
    Ok(Answer { status: head.status, headers: head.headers, body: body.freeze(), trailers })
}
