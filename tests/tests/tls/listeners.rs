//! Each listener with TLS: those of every flag that has URLs, several of each. In etcd some of them have lacked what the
//! others had.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use ferretcd_testkit::certificates::{Authority, Files};
use ferretcd_tests::{Cluster, Options, StartError, on_target, report};
use ferretcd_tls::{ClientConfig, ClientTls, KeyFiles};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::secured::DONE_WITHIN;

on_target! {
    ferretcd: ferretcd_tests::Process<ferretcd_tests::Ferretcd>,
    revoked_certificates_are_refused_on_each => revoked(),
    handshakes_that_do_not_end_are_closed_on_each => stalled(),
}
on_target! {
    etcd37: ferretcd_tests::Process<ferretcd_tests::Etcd37>,
    revoked_certificates_are_refused_on_each => revoked(),
    handshakes_that_do_not_end_are_closed_on_each => stalled(),
}

/// The flags with URLs for clients, and that for other members.
const FLAGS: [&str; 4] =
    ["listen-client-urls", "listen-client-http-urls", "listen-metrics-urls", "listen-peer-urls"];
/// URLs of each flag.
const URLS: usize = 2;
/// Starts with other ports when another process has taken one of these.
const PORT_ATTEMPTS: usize = 5;

/// A listener, as the flag and the URL that it comes from.
#[derive(Clone, Debug)]
struct Place {
    flag: &'static str,
    port: u16,
    /// The same address is served in the clear, too.
    is_mixed: bool,
}

impl Place {
    fn is_for_peers(&self) -> bool {
        self.flag == "listen-peer-urls"
    }

    /// Serves nothing but HTTP/2, because the server has URLs for HTTP/1 as well.
    fn is_for_grpc(&self) -> bool {
        self.flag == "listen-client-urls"
    }

    fn urls(&self) -> String {
        let url = format!("https://127.0.0.1:{}", self.port);
        if self.is_mixed { format!("{url},http://127.0.0.1:{}", self.port) } else { url }
    }
}

/// The certificates of one side, clients or members.
struct Side {
    authority: Authority,
    server: Files,
}

/// The numbers of the two clients' certificates.
const FIRST: u64 = 2;
const SECOND: u64 = 3;

impl Side {
    fn new() -> Self {
        let authority = Authority::new();
        let server = authority.sign("server", &["127.0.0.1"], 1);
        Self { authority, server }
    }

    /// A client of a listener, with the certificate of this number.
    fn client(&self, serial: u64, place: &Place) -> ClientTls {
        let Files { cert, key } = self.authority.sign("client", &[], serial);
        let alpn = if place.is_for_grpc() { vec![b"h2".to_vec()] } else { Vec::new() };
        let config = ClientConfig {
            files: Some(KeyFiles { cert, key }),
            trusted_ca: Some(self.authority.certificate()),
            alpn,
            ..ClientConfig::default()
        };
        ClientTls::load(config).expect("the files are good")
    }
}

/// A server with all of these listeners.
struct Server<C> {
    /// Lives as long as the test.
    _server: C,
    places: Vec<Place>,
    clients: Side,
    peers: Side,
}

impl<C: Cluster> Server<C> {
    /// `None` if the server is not available on this machine, which is reported. The certificates of these numbers are
    /// revoked.
    async fn start(what: &str, revoked_clients: &[u64], revoked_peers: &[u64]) -> Option<Self> {
        if !report::available::<C>(what) {
            return None;
        }
        let (clients, peers) = (Side::new(), Side::new());
        let lists = [clients.authority.revoke(revoked_clients), peers.authority.revoke(revoked_peers)];
        let mut flags = [clients.server.flags(), peers.server.peer_flags()].concat();
        flags.extend([clients.authority.trusted(), peers.authority.peer_trusted()].concat());
        flags.extend(["--client-cert-auth".to_owned(), "--peer-client-cert-auth".to_owned()]);
        flags.push(format!("--client-crl-file={}", lists[0].display()));
        flags.push(format!("--peer-crl-file={}", lists[1].display()));
        for attempt in 1.. {
            let places = places().expect("the loopback device has free ports");
            let options = Options { flags: [urls(&places), flags.clone()].concat() };
            match C::start(&options).await {
                Ok(server) => return Some(Self { _server: server, places, clients, peers }),
                Err(StartError::Exited { logs, .. })
                    if logs.to_ascii_lowercase().contains("address already in use")
                        && attempt < PORT_ATTEMPTS => {}
                Err(error) => panic!("failed to {error}"),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// A client of a listener, with the certificate of this number.
    fn client(&self, serial: u64, place: &Place) -> ClientTls {
        let side = if place.is_for_peers() { &self.peers } else { &self.clients };
        side.client(serial, place)
    }

    /// Whether a client with the certificate of this number gets a response.
    async fn serves(&self, serial: u64, place: &Place) -> bool {
        let served = timeout(DONE_WITHIN, is_served(place, self.client(serial, place))).await;
        served.unwrap_or_else(|_| panic!("{place:?} does not respond"))
    }
}

/// Listeners on ports that were free a moment ago.
fn places() -> io::Result<Vec<Place>> {
    let wanted = FLAGS.into_iter().flat_map(|flag| (0..URLS).map(move |_| (flag, false)));
    let wanted = wanted.chain([("listen-client-urls", true)]);
    // All are held until all are known, so that they differ.
    let held = wanted.map(|wanted| Ok((wanted, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)));
    let held: Vec<_> = held.collect::<io::Result<_>>()?;
    let places = held.iter().map(|&((flag, is_mixed), ref socket)| {
        Ok(Place { flag, port: socket.local_addr()?.port(), is_mixed })
    });
    places.collect()
}

/// The flags of these listeners.
fn urls(places: &[Place]) -> Vec<String> {
    let urls_of = |flag: &str| {
        let urls: Vec<_> = places.iter().filter(|place| place.flag == flag).map(Place::urls).collect();
        urls.join(",")
    };
    let mut flags: Vec<_> = FLAGS.iter().map(|flag| format!("--{flag}={}", urls_of(flag))).collect();
    let url = |flag: &str| urls_of(flag).split(',').next().expect("it has some").to_owned();
    let (client, peer) = (url("listen-client-urls"), url("listen-peer-urls"));
    flags.push(format!("--advertise-client-urls={client}"));
    flags.push(format!("--initial-advertise-peer-urls={peer}"));
    flags.push(format!("--initial-cluster=default={peer}"));
    flags
}

/// The preface of HTTP/2 with empty settings, to which a server responds with its own.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const REQUEST: &[u8] = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Whether a client gets a response, of whatever status. With TLS 1.3 a client learns after its own end of the handshake
/// that it is refused.
async fn is_served(place: &Place, client: ClientTls) -> bool {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, place.port)).await.expect("it listens");
    let Ok(mut stream) = client.connect("127.0.0.1", socket).await else { return false };
    let request = if place.is_for_grpc() { PREFACE } else { REQUEST };
    stream.write_all(request).await.is_ok() && stream.read_u8().await.is_ok()
}

/// Lists of revoked certificates (GHSA-3wh4-j44w-pg92).
async fn revoked<C: Cluster>() {
    // Each side has a list of its own: the number that one has revoked is good on the other.
    let server = Server::<C>::start("revoked certificates on each listener", &[FIRST], &[SECOND]).await;
    let Some(server) = server else { return };
    check(&server, (false, true), (true, false)).await;
    // The lists are read again.
    server.clients.authority.revoke(&[SECOND]);
    server.peers.authority.revoke(&[FIRST]);
    check(&server, (true, false), (false, true)).await;
}

/// Whether the first and the second certificate are accepted, on the listeners for clients and on those for members.
async fn check<C: Cluster>(server: &Server<C>, of_clients: (bool, bool), of_peers: (bool, bool)) {
    let mut found = Vec::new();
    for place in &server.places {
        let expected = if place.is_for_peers() { of_peers } else { of_clients };
        let served = (server.serves(FIRST, place).await, server.serves(SECOND, place).await);
        if served != expected {
            found.push(format!("{place:?}: {served:?}, not {expected:?}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Stalled connections of each kind on each listener.
const STALLED: usize = 4;
/// How fast bytes trickle.
const PACE: Duration = Duration::from_millis(250);

/// Handshakes that are never ended (GHSA-6vch-q96h-7gc3): nothing is sent, a part, a part and then byte by byte, all but
/// the last message.
async fn stalled<C: Cluster>() {
    if C::KIND.reference {
        return report::skipped("stalled handshakes on etcd-3.7", "listeners for gRPC keep them");
    }
    let Some(server) = Server::<C>::start("stalled handshakes on each listener", &[], &[]).await else {
        return;
    };
    let mut stalled = JoinSet::new();
    for place in &server.places {
        let hello = hello(&server.client(FIRST, place)).await;
        let (part, rest) = hello.split_at(hello.len() / 2);
        let kinds = [
            ("nothing", &b""[..], &b""[..]),
            ("a part", part, b""),
            ("bytes", part, rest),
            ("all", &hello, b""),
        ];
        // Without its first byte a connection may be one in the clear.
        let kinds = kinds.into_iter().filter(|(name, ..)| !(place.is_mixed && *name == "nothing"));
        for (name, sent, trickled) in kinds.flat_map(|kind| [kind; STALLED]) {
            let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, place.port)).await.expect("it listens");
            socket.write_all(sent).await.expect("it is open");
            let (name, trickled) = (format!("{name} at {place:?}"), trickled.to_vec());
            stalled.spawn(async move {
                let end = timeout(DONE_WITHIN, trickle(socket, trickled)).await;
                end.unwrap_or_else(|_| panic!("{name}: the connection stays open"));
            });
        }
    }
    for place in &server.places {
        assert!(server.serves(FIRST, place).await, "{place:?} is held up");
    }
    while let Some(ended) = stalled.join_next().await {
        ended.expect("it is closed");
    }
    for place in &server.places {
        assert!(server.serves(FIRST, place).await, "{place:?} goes on");
    }
}

/// The first message of a client.
async fn hello(client: &ClientTls) -> Vec<u8> {
    let (near, mut far) = tokio::io::duplex(64 << 10);
    let mut hello = vec![0; 64 << 10];
    tokio::select! {
        _ = client.connect("127.0.0.1", near) => unreachable!("there is no server"),
        n = far.read(&mut hello) => hello.truncate(n.expect("it is open")),
    }
    hello
}

/// Sends byte by byte, and then nothing, until the connection is closed.
async fn trickle(mut socket: TcpStream, bytes: Vec<u8>) {
    let mut bytes = bytes.into_iter();
    let mut pace = interval(PACE);
    let mut read = [0; 4096];
    loop {
        tokio::select! {
            n = socket.read(&mut read) => {
                if matches!(n, Ok(0) | Err(_)) {
                    return;
                }
            }
            _ = pace.tick() => {
                // If it fails, reading does as well.
                if let Some(byte) = bytes.next() {
                    let _ = socket.write_all(&[byte]).await;
                }
            }
        }
    }
}
