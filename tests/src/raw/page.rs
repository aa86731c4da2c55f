//! Pages served over HTTP/1.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The text of a page served with status 200.
pub async fn page(endpoint: &str, path: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(endpoint.trim_start_matches("http://")).await?;
    // An HTTP/1.0 response ends with the connection.
    socket.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut response = String::new();
    socket.read_to_string(&mut response).await?;
    match response.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("{path} responded with {response}"))),
    }
}
