//! Calls over WebSockets.

use ferretcd_tests::{Cluster, Metrics};
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};

use crate::support::{authenticate, b64, enable_auth, put, range, start, watch};
use crate::web::{Connection, Head, PATIENCE, Request, Socket, call};

on_both! {
    handshakes_that_fail => handshakes(),
    a_watch_over_a_websocket => watches(),
    an_unknown_path_is_a_message => unknown_path(),
    pings_are_returned => pings(),
    many_sockets_at_once => many(),
    half_a_frame_and_the_end => half_a_frame(),
    tokens_in_protocols_and_cookies => tokens(),
    a_server_that_stops_ends_sockets => stops(),
}

// etcd reads messages of any size, and a unary call until the client closes the socket.
ferretcd_tests::on_target! { ferretcd_alone: ferretcd_tests::Process<ferretcd_tests::Ferretcd>,
    a_unary_call_is_answered_and_closed => unary(),
    messages_have_a_bound => oversize(),
    a_malformed_request_ends_the_call => malformed(),
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The key's response, of the example in RFC 6455.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const HANDSHAKE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", KEY),
];

/// A socket with what the handshake said.
struct WebSocket {
    head: Head,
    stream: WebSocketStream<BufReader<Box<dyn Socket>>>,
}

impl WebSocket {
    async fn open(url: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut connection = Connection::to(url).await;
        connection.send(Request::get(path).with(&[&HANDSHAKE[..], headers].concat())).await;
        let head = connection.head("GET").await.expect("a response");
        assert_eq!((head.status, head.get("sec-websocket-accept")), (101, Some(ACCEPT)), "{head:?}");
        let stream = WebSocketStream::from_raw_socket(connection.into_stream(), Role::Client, None).await;
        Self { head, stream }
    }

    /// Opens a socket with a watch of a key.
    async fn watching(url: &str, key: &str, headers: &[(&str, &str)]) -> Self {
        let mut socket = Self::open(url, "/v3/watch", headers).await;
        socket.send(Message::text(watch(key, ""))).await;
        let created = socket.json().await;
        assert_eq!(created["result"]["created"], true, "{created}");
        socket
    }

    async fn send(&mut self, message: Message) {
        timeout(PATIENCE, self.stream.send(message)).await.expect("the server reads").expect("it is open");
    }

    /// The next message; `None` at the end of the connection, however it comes.
    async fn next(&mut self) -> Option<Message> {
        timeout(PATIENCE, self.stream.next()).await.expect("the server sends or ends").and_then(Result::ok)
    }

    /// The next message, which is JSON in text.
    async fn json(&mut self) -> Value {
        match self.next().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("no text: {other:?}"),
        }
    }

    /// Waits for the end, and returns what came before.
    async fn ends(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }
}

async fn handshakes<C: Cluster>() {
    let Some(server) = start::<C>("handshakes").await else { return };
    let url = server.endpoint();
    let changed = |name: &str, value: &'static str| {
        let mut headers = HANDSHAKE.to_vec();
        headers.retain(|(found, _)| *found != name);
        if !value.is_empty() {
            headers.push((HANDSHAKE.iter().find(|(found, _)| *found == name).expect("one of them").0, value));
        }
        headers
    };
    for (method, headers, status, body, version) in [
        ("GET", changed("Sec-WebSocket-Key", ""), 400, "Bad Request\n", Some("13")),
        ("GET", changed("Sec-WebSocket-Key", "short"), 400, "Bad Request\n", Some("13")),
        ("GET", changed("Sec-WebSocket-Version", ""), 400, "Bad Request\n", Some("13")),
        ("GET", changed("Sec-WebSocket-Version", "8"), 400, "Bad Request\n", Some("13")),
        ("POST", HANDSHAKE.to_vec(), 405, "Method Not Allowed\n", Some("13")),
        (
            "GET",
            changed("Connection", "keep-alive"),
            501,
            r#"{"code":12,"message":"Method Not Allowed"}"#,
            None,
        ),
        ("GET", changed("Upgrade", "h2c"), 501, r#"{"code":12,"message":"Method Not Allowed"}"#, None),
    ] {
        let request = Request { method, ..Request::get("/v3/watch").with(&headers) };
        let response = call(&url, request).await;
        let text = response.text().replace(", \"", ",\"");
        assert_eq!((response.head.status, &*text), (status, body), "{headers:?}");
        assert_eq!(response.head.get("sec-websocket-version"), version, "{headers:?}");
    }
    // Lists of values, in any case.
    let headers = [
        ("Connection", "keep-alive, UPGRADE"),
        ("Upgrade", "h2c, WebSocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    let mut connection = Connection::to(&url).await;
    connection.send(Request::get("/v3/watch").with(&headers)).await;
    assert_eq!(connection.head("GET").await.expect("a response").status, 101);
}

async fn watches<C: Cluster>() {
    let Some(server) = start::<C>("watches over WebSockets").await else { return };
    let url = server.endpoint();
    let mut socket = WebSocket::watching(&url, "a", &[]).await;
    assert_eq!(socket.head.get("sec-websocket-protocol"), None);
    call(&url, Request::post("/v3/kv/put", &put("a", "1"))).await;
    let event = socket.json().await;
    assert_eq!(event["result"]["events"][0]["kv"]["value"], b64("1"), "{event}");
    // A request as bytes.
    socket.send(Message::binary(watch("b", "").into_bytes())).await;
    let created = socket.json().await;
    assert_eq!((&created["result"]["created"], &created["result"]["watch_id"]), (&true.into(), &"1".into()));
    // Two requests in one message.
    let cancel = |id: u8| format!(r#"{{"cancel_request":{{"watch_id":"{id}"}}}}"#);
    socket.send(Message::text(format!("{}\n{}", cancel(0), cancel(1)))).await;
    for _ in 0..2 {
        let cancelled = socket.json().await;
        assert_eq!(cancelled["result"]["canceled"], true, "{cancelled}");
    }
}

async fn unary<C: Cluster>() {
    let Some(server) = start::<C>("calls over WebSockets").await else { return };
    let url = server.endpoint();
    let mut socket = WebSocket::open(&url, "/v3/kv/put", &[]).await;
    socket.send(Message::text(put("a", "1"))).await;
    let response = socket.json().await;
    assert_eq!(response["header"]["revision"], "2", "{response}");
    let end = socket.ends().await;
    assert!(matches!(end[..], [Message::Close(_)]), "{end:?}");
    let response = call(&url, Request::post("/v3/kv/range", &range("a"))).await.json();
    assert_eq!(response["kvs"][0]["value"], b64("1"), "{response}");
    // A failure is a message too.
    let mut socket = WebSocket::open(&url, "/v3/kv/put", &[]).await;
    socket.send(Message::text("{}")).await;
    let response = socket.json().await;
    assert_eq!(response, json!({ "code": 3, "message": "etcdserver: key is not provided" }));
}

async fn malformed<C: Cluster>() {
    let Some(server) = start::<C>("malformed messages").await else { return };
    let mut socket = WebSocket::watching(&server.endpoint(), "a", &[]).await;
    socket.send(Message::text("nope")).await;
    let error = socket.json().await;
    assert_eq!(error["error"]["code"], 3, "{error}");
    let end = socket.ends().await;
    assert!(matches!(end[..], [Message::Close(_)]), "{end:?}");
}

async fn unknown_path<C: Cluster>() {
    let Some(server) = start::<C>("unknown paths").await else { return };
    let mut socket = WebSocket::open(&server.endpoint(), "/v3/nope", &[]).await;
    assert_eq!(socket.json().await, json!({ "code": 5, "message": "Not Found" }));
}

async fn pings<C: Cluster>() {
    let Some(server) = start::<C>("pings").await else { return };
    let mut socket = WebSocket::watching(&server.endpoint(), "a", &[]).await;
    socket.send(Message::Ping("there?".into())).await;
    assert_eq!(socket.next().await, Some(Message::Pong("there?".into())));
}

async fn many<C: Cluster>() {
    let Some(server) = start::<C>("many sockets").await else { return };
    let url = server.endpoint();
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(WebSocket::watching(&url, "a", &[]).await);
    }
    call(&url, Request::post("/v3/kv/put", &put("a", "1"))).await;
    for socket in &mut sockets {
        let event = socket.json().await;
        assert_eq!(event["result"]["events"][0]["kv"]["value"], b64("1"), "{event}");
    }
    drop(sockets);
    no_watches(&server).await;
}

async fn no_watches(server: &impl Cluster) {
    let watchers = "etcd_debugging_mvcc_watcher_total";
    Metrics::until(server, "the end of all watches", |now| now.get(watchers) == Some(0.0)).await;
}

async fn half_a_frame<C: Cluster>() {
    let Some(server) = start::<C>("half a frame").await else { return };
    let mut socket = WebSocket::watching(&server.endpoint(), "a", &[]).await;
    // A text of 100 bytes with its mask, of which two come.
    let half = [0x81, 0x80 | 100, 1, 2, 3, 4, b'{' ^ 1, b'"' ^ 2];
    let stream = socket.stream.get_mut();
    stream.write_all(&half).await.expect("it is open");
    stream.flush().await.expect("it is open");
    drop(socket);
    no_watches(&server).await;
}

async fn oversize<C: Cluster>() {
    let Some(server) = start::<C>("large messages").await else { return };
    let url = server.endpoint();
    let mut socket = WebSocket::watching(&url, "a", &[]).await;
    let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(32 << 20));
    // The server may close the connection before it has read the whole.
    let _ = timeout(PATIENCE, socket.stream.send(Message::text(large))).await.expect("it reads or closes");
    let messages = socket.ends().await;
    assert!(!messages.iter().any(Message::is_text), "{messages:?}");
    no_watches(&server).await;
    assert_eq!(call(&url, Request::post("/v3/kv/range", &range("a"))).await.head.status, 200);
}

async fn tokens<C: Cluster>() {
    let Some(server) = start::<C>("tokens of WebSockets").await else { return };
    let url = server.endpoint();
    enable_auth(&url).await;
    let token = authenticate(&url).await;
    let protocols = format!("Bearer, {token}");
    let of_protocol = ("Sec-WebSocket-Protocol", &*protocols);
    let socket = WebSocket::watching(&url, "a", &[of_protocol]).await;
    assert_eq!(socket.head.get("sec-websocket-protocol"), Some("Bearer"));
    let cookie = format!("other=1; token={token}");
    WebSocket::watching(&url, "a", &[("Cookie", &cookie)]).await;
    // A cookie goes before a protocol.
    WebSocket::watching(&url, "a", &[("Cookie", &cookie), ("Sec-WebSocket-Protocol", "Bearer, bad")]).await;
    for headers in
        [&[][..], &[("Sec-WebSocket-Protocol", "Bearer, bad")], &[("Cookie", "token=bad"), of_protocol]]
    {
        let mut socket = WebSocket::open(&url, "/v3/watch", headers).await;
        socket.send(Message::text(watch("a", ""))).await;
        let response = socket.json().await;
        let is_refused = response["result"]["canceled"] == true || response["error"]["code"] == 16;
        assert!(is_refused, "{headers:?}: {response}");
    }
}

async fn stops<C: Cluster>() {
    let Some(mut server) = start::<C>("the end of a server").await else { return };
    let url = server.endpoint();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(WebSocket::watching(&url, "a", &[]).await);
    }
    server.stop().await.expect("it stops in time");
    for socket in &mut sockets {
        let messages = socket.ends().await;
        assert!(!messages.iter().any(|message| message.is_text() && message.to_string().contains("events")));
    }
}
