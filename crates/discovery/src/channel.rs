//! Requests to a gRPC service, one at a time: the few that a registry needs, without the machinery of a client.

use std::io;
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{AuthenticateRequest, AuthenticateResponse};
use ferretcd_tls::{CertificateError, ClientConfig, ClientTls};
use ferretcd_transport::BoxedIo;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Credentials, Registry, RegistryTls};

/// Responses are a few rows.
const RESPONSE_BYTES_MAX: usize = 4 << 20;
/// etcd ends connections that send pings more often, and its own clients don't.
const KEEPALIVE_MIN: Duration = Duration::from_secs(10);
/// The gRPC code `FAILED_PRECONDITION`.
const FAILED_PRECONDITION: i32 = 9;

/// A request without a response.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The text of an endpoint is none.
    #[error("connect to {0:?}: it is neither an http:// or https:// URL nor a host with a port")]
    Endpoint(String),
    /// Certificates can't be used.
    #[error(transparent)]
    Tls(#[from] CertificateError),
    /// No connection can be made.
    #[error("connect to {endpoint}: {source}")]
    Connect { endpoint: String, source: io::Error },
    /// The endpoint is connected and does not respond.
    #[error("context deadline exceeded")]
    Timeout,
    /// The connection broke, or is not HTTP/2.
    #[error("call {path}: {source}")]
    Http { path: &'static str, source: hyper::Error },
    /// The response is malformed.
    #[error("call {path}: {reason}")]
    Malformed { path: &'static str, reason: String },
    /// The service responds with an error.
    #[error("rpc error: code = {code} desc = {text}")]
    Status { code: i32, text: String },
    /// The service rejects the user or its password.
    #[error("authenticate {user}: rpc error: code = {code} desc = {text}")]
    Authenticate { user: String, code: i32, text: String },
}

/// Sends requests to the first endpoint that can be reached, over a connection that is made when it is needed.
#[derive(Debug)]
pub(super) struct Channel {
    registry: Registry,
    endpoints: Vec<Endpoint>,
    connection: Option<Connection>,
}

/// An address of the registry.
#[derive(Clone, Debug)]
struct Endpoint {
    host: String,
    port: u16,
    /// `None` in the clear.
    tls: Option<ClientTls>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// The endpoint as the beginning of a URL.
    origin: String,
    /// The token of the user.
    token: Option<String>,
}

impl Channel {
    /// Reads the files for TLS, if it is used. Connects later.
    pub(super) fn new(registry: Registry) -> Result<Self, CallError> {
        let tls = client_tls(&registry.tls.clone().unwrap_or_default())?;
        let parse = |text: &String| Endpoint::parse(text, registry.tls.is_some(), &tls);
        let endpoints = registry.endpoints.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { registry, endpoints, connection: None })
    }

    /// Makes a unary call. After an error the next call connects anew.
    pub(super) async fn call<R: Message + Default>(
        &mut self,
        path: &'static str,
        request: &impl Message,
    ) -> Result<R, CallError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let response = connection.call(path, request, self.registry.request_timeout).await?;
        self.connection = Some(connection);
        Ok(response)
    }

    /// Connects to one endpoint after the other until one accepts.
    async fn connect(&self) -> Result<Connection, CallError> {
        let mut last = CallError::Timeout;
        for endpoint in &self.endpoints {
            let connected = timeout(self.registry.dial_timeout, endpoint.connect(&self.registry)).await;
            match connected {
                Ok(Ok(connection)) => return authenticated(connection, &self.registry).await,
                Ok(Err(source)) => last = CallError::Connect { endpoint: endpoint.origin(), source },
                Err(_) => last = CallError::Timeout,
            }
        }
        Err(last)
    }
}

impl Endpoint {
    fn parse(text: &str, is_encrypted: bool, tls: &ClientTls) -> Result<Self, CallError> {
        let bad = || CallError::Endpoint(text.to_owned());
        let (is_encrypted, address) = match text.split_once("://") {
            Some(("http", address)) => (false, address),
            Some(("https", address)) => (true, address),
            Some(_) => return Err(bad()),
            // Without a scheme the configuration decides.
            None => (is_encrypted, text),
        };
        let (host, port) = address.trim_end_matches('/').rsplit_once(':').ok_or_else(bad)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| bad())?;
        if host.is_empty() {
            return Err(bad());
        }
        Ok(Self { host: host.to_owned(), port, tls: is_encrypted.then(|| tls.clone()) })
    }

    fn origin(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }

    async fn connect(&self, registry: &Registry) -> io::Result<Connection> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        stream.set_nodelay(true)?;
        let stream: BoxedIo = match &self.tls {
            Some(tls) => Box::new(tls.connect(&self.host, stream).await.map_err(io::Error::other)?),
            None => Box::new(stream),
        };
        let interval = registry.keepalive_interval.map(|interval| interval.max(KEEPALIVE_MIN));
        let handshake = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(interval)
            .keep_alive_timeout(registry.keepalive_timeout)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        // It ends when the sender is gone. The next call returns its error.
        tokio::spawn(connection);
        Ok(Connection { sender, origin: self.origin(), token: None })
    }
}

fn client_tls(settings: &RegistryTls) -> Result<ClientTls, CertificateError> {
    let tls = ClientTls::load(ClientConfig {
        files: settings.files.clone(),
        trusted_ca: settings.trusted_ca.clone(),
        insecure_skip_verify: settings.insecure_skip_verify,
        alpn: vec![b"h2".to_vec()],
        ..ClientConfig::default()
    });
    tls.map_err(|error| CertificateError::new(error, &settings.named_files()))
}

/// The connection with a token, if there is a user.
async fn authenticated(mut connection: Connection, registry: &Registry) -> Result<Connection, CallError> {
    let Some(Credentials { user, password }) = registry.credentials.clone() else { return Ok(connection) };
    let request = AuthenticateRequest { name: user.clone(), password };
    let path = "/etcdserverpb.Auth/Authenticate";
    match connection.call::<AuthenticateResponse>(path, &request, registry.request_timeout).await {
        Ok(response) => connection.token = Some(response.token),
        // The registry has authentication off.
        Err(CallError::Status { code: FAILED_PRECONDITION, text }) if text.contains("not enabled") => {}
        Err(CallError::Status { code, text }) => return Err(CallError::Authenticate { user, code, text }),
        Err(error) => return Err(error),
    }
    Ok(connection)
}

impl Connection {
    async fn call<R: Message + Default>(
        &mut self,
        path: &'static str,
        request: &impl Message,
        within: Duration,
    ) -> Result<R, CallError> {
        let http = |source| CallError::Http { path, source };
        let malformed = |reason: String| CallError::Malformed { path, reason };
        let request = self.request(path, request).map_err(|error| malformed(error.to_string()))?;
        let exchange = async {
            self.sender.ready().await.map_err(http)?;
            let response = self.sender.send_request(request).await.map_err(http)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
            let body = body.map_err(|error| malformed(error.to_string()))?;
            // An error may come without a body, and then has its status in the head.
            let trailers = body.trailers().cloned().unwrap_or_default();
            let status = status(&trailers).or_else(|| status(&head.headers));
            match status {
                Some((0, _)) => message(&body.to_bytes()).map_err(malformed),
                Some((code, text)) => Err(CallError::Status { code, text }),
                None => Err(malformed(format!("the answer is no gRPC, but HTTP status {}", head.status))),
            }
        };
        timeout(within, exchange).await.unwrap_or(Err(CallError::Timeout))
    }

    fn request(&self, path: &str, request: &impl Message) -> Result<Request<Full<Bytes>>, http::Error> {
        let uri: Uri = format!("{}{path}", self.origin).parse()?;
        let mut builder =
            Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
        if let Some(token) = &self.token {
            builder = builder.header("token", token);
        }
        builder.body(Full::new(frame(request)))
    }
}

/// A message as gRPC sends it: not compressed, its length, its bytes.
fn frame(message: &impl Message) -> Bytes {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).expect("requests are small").to_be_bytes();
    [&[0], &length[..], &bytes].concat().into()
}

/// The one message of a body.
fn message<R: Message + Default>(body: &[u8]) -> Result<R, String> {
    let (head, bytes) = body.split_at_checked(5).ok_or("the answer has no message")?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    if head[0] != 0 || usize::try_from(length) != Ok(bytes.len()) {
        return Err("the answer is not one plain message".to_owned());
    }
    R::decode(bytes).map_err(|error| error.to_string())
}

/// The code and the text in a head or at the end of a body.
fn status(headers: &HeaderMap) -> Option<(i32, String)> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let text = headers.get("grpc-message").map(|text| unescaped(text.as_bytes())).unwrap_or_default();
    Some((code, text))
}

/// A text in which `%` and two hexadecimal digits stand for a byte.
fn unescaped(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let digits =
            behind.get(..2).filter(|_| *first == b'%').and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::etcdserverpb::AuthenticateResponse;

    use super::*;

    #[test]
    fn messages_have_a_frame() {
        let response = AuthenticateResponse { token: "t".to_owned(), ..AuthenticateResponse::default() };
        let bytes = frame(&response);
        assert_eq!(bytes[..5], [0, 0, 0, 0, u8::try_from(bytes.len() - 5).unwrap()]);
        assert_eq!(message::<AuthenticateResponse>(&bytes), Ok(response));
        assert_eq!(message(&[0; 5]), Ok(AuthenticateResponse::default()));
        for bad in
            [&bytes[..3], &bytes[..6], &[&bytes[..], b"x"].concat(), &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 1, 7]]
        {
            assert!(message::<AuthenticateResponse>(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn error_texts_are_unescaped() {
        let check = |text: &str, expected: &str| assert_eq!(unescaped(text.as_bytes()), expected);
        check("etcdserver: too many requests", "etcdserver: too many requests");
        check("100%25 %C3%A4%", "100% ä%");
        check("%zz%4", "%zz%4");
    }

    #[test]
    fn endpoints() {
        let parse = |text: &str, is_encrypted| {
            let tls =
                client_tls(&RegistryTls { insecure_skip_verify: true, ..RegistryTls::default() }).unwrap();
            Endpoint::parse(text, is_encrypted, &tls).map(|endpoint| endpoint.origin())
        };
        let check =
            |text, is_encrypted, expected: &str| assert_eq!(parse(text, is_encrypted).unwrap(), expected);
        check("h:1", false, "http://h:1");
        check("h:1", true, "https://h:1");
        check("http://h:1/", true, "http://h:1");
        check("https://[::1]:1", false, "https://[::1]:1");
        for bad in ["ftp://h:1", "h", "http://h", "h:port", "unix://x:1", "http://:1", ""] {
            assert!(matches!(parse(bad, false), Err(CallError::Endpoint(_))), "{bad}");
        }
    }
}
