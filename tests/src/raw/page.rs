//! Pages served over HTTP/1.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a server responds to a request for a page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The status.
    pub status: u16,
    /// The lines above the body.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Page {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Requests a page with a method such as `GET`.
pub async fn fetch(endpoint: &str, method: &str, path: &str) -> io::Result<Page> {
    let mut socket = TcpStream::connect(endpoint.trim_start_matches("http://")).await?;
    // An HTTP/1.0 response ends with the connection.
    socket.write_all(format!("{method} {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut response = Vec::new();
    socket.read_to_end(&mut response).await?;
    let unreadable = || io::Error::other(format!("{path} responded with {}", response.escape_ascii()));
    let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(unreadable)?;
    let head = String::from_utf8_lossy(&response[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(unreadable)?;
    Ok(Page { status, head, body: response[end + 4..].to_vec() })
}

/// The text of a page served with status 200.
pub async fn page(endpoint: &str, path: &str) -> io::Result<String> {
    let page = fetch(endpoint, "GET", path).await?;
    match page.status {
        200 => Ok(page.text()),
        _ => Err(io::Error::other(format!("{path} responded with {}\n{}", page.head, page.text()))),
    }
}
