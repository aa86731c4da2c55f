//! HTTP/1.1 by hand, so that tests see pieces of bodies when they come, and bodies that break off.

mod body;
mod head;

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::body::Left;
pub(crate) use self::head::Head;

/// A server that does not respond in this time fails the test instead of hanging it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A connection, in the clear or not.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A request with a body of known length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(crate) fn post(path: &'a str, body: &'a str) -> Self {
        Self { method: "POST", path, headers: &[], body: body.as_bytes() }
    }

    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: "GET", path, headers: &[], body: b"" }
    }

    pub(crate) fn with(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }
}

/// A response that has come to its end.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One connection, which is kept alive for further requests.
pub(crate) struct Connection {
    stream: BufReader<Box<dyn Socket>>,
    left: Left,
    /// A line of the body whose end has not come.
    line: Vec<u8>,
}

impl Connection {
    /// Connects to a URL such as `http://127.0.0.1:2379`.
    pub(crate) async fn to(url: &str) -> Self {
        let socket = TcpStream::connect(url.trim_start_matches("http://")).await;
        Self::over(socket.unwrap_or_else(|error| panic!("{url}: {error}")))
    }

    pub(crate) fn over(socket: impl Socket + 'static) -> Self {
        let stream = BufReader::new(Box::new(socket) as Box<dyn Socket>);
        Self { stream, left: Left::Nothing, line: Vec::new() }
    }

    /// Sends bytes as they are. Errs when the server has closed the connection.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await
        .expect("the server reads")
    }

    /// Sends a request.
    pub(crate) async fn send(&mut self, request: Request<'_>) {
        let length = request.body.len().to_string();
        let mut bytes =
            head::of_request(request.method, request.path, request.headers, &[("content-length", &length)]);
        bytes.extend_from_slice(request.body);
        self.write(&bytes).await.expect("the server reads");
    }

    /// Begins a request whose body comes in chunks.
    pub(crate) async fn begin(&mut self, path: &str, headers: &[(&str, &str)]) {
        let bytes = head::of_request("POST", path, headers, &[("transfer-encoding", "chunked")]);
        self.write(&bytes).await.expect("the server reads");
    }

    /// Sends a chunk of a body; an empty one is its end.
    pub(crate) async fn chunk(&mut self, bytes: &[u8]) {
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        self.write(&chunk).await.expect("the server reads");
    }

    /// The head of the next response, also of an interim one.
    pub(crate) async fn head(&mut self, method: &str) -> io::Result<Head> {
        let head = timeout(PATIENCE, head::read(&mut self.stream)).await.expect("the server responds")?;
        self.left = Left::after(&head, method);
        self.line.clear();
        Ok(head)
    }

    /// Sends a request and reads its response to the end.
    pub(crate) async fn call(&mut self, request: Request<'_>) -> Response {
        self.send(request).await;
        let head = self.head(request.method).await.expect("there is a response");
        let body = self.body().await.expect("the body has its end");
        Response { head, body }
    }

    /// The next piece of the body; `None` at its end. Errs when it breaks off.
    pub(crate) async fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        timeout(PATIENCE, self.left.piece(&mut self.stream)).await.expect("the body goes on")
    }

    /// The rest of the body.
    pub(crate) async fn body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = std::mem::take(&mut self.line);
        while let Some(piece) = self.piece().await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// The next line of the body as JSON; `None` at the end of the body.
    pub(crate) async fn line(&mut self) -> Option<Value> {
        loop {
            if let Some(at) = self.line.iter().position(|byte| *byte == b'\n') {
                let rest = self.line.split_off(at + 1);
                let line = std::mem::replace(&mut self.line, rest);
                let value = serde_json::from_slice(&line);
                return Some(
                    value.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&line))),
                );
            }
            match self.piece().await.expect("the body does not break off") {
                Some(piece) => self.line.extend_from_slice(&piece),
                None if self.line.is_empty() => return None,
                None => panic!("half a line: {}", String::from_utf8_lossy(&self.line)),
            }
        }
    }

    /// The stream below, when the protocol changes after a response without body.
    pub(crate) fn into_stream(self) -> BufReader<Box<dyn Socket>> {
        self.stream
    }
}

/// One request on a connection of its own.
pub(crate) async fn call(url: &str, request: Request<'_>) -> Response {
    Connection::to(url).await.call(request).await
}
