//! Clients that list against a server made with the `h2` crate, which is strict about the protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::*;
use crate::requests::Method;

/// Keys of a list here; one that is right has at least so many bytes of each.
const KEYS: u64 = 100;
const ROW_BYTES: usize = 1024;
/// Of the message; more than the first window of a stream.
const MESSAGE_BYTES: usize = 300_000;

/// How the server treats a list.
#[derive(Clone, Copy)]
enum Reply {
    /// So many messages.
    Good(usize),
    /// A message of one byte.
    Short,
    /// Less than the length of the message says.
    Cut,
    /// The status, without a message.
    Rejected(&'static str),
    Reset,
}

struct Served {
    address: SocketAddr,
    /// Bytes that the clients' windows have let through.
    sent: Arc<AtomicU64>,
    _runtime: Runtime,
}

/// Replies to the nth list of each connection as `replies` says, which is repeated.
fn serve(replies: &'static [Reply]) -> Served {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let all_sent = sent.clone();
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(converse(socket, replies, sent.clone()));
        }
    });
    Served { address, sent: all_sent, _runtime: runtime }
}

async fn converse(socket: TcpStream, replies: &'static [Reply], sent: Arc<AtomicU64>) {
    let mut connection = h2::server::handshake(socket).await.unwrap();
    let mut replies = replies.iter().cycle();
    while let Some(Ok((request, respond))) = connection.accept().await {
        assert_eq!(request.uri().path(), "/etcdserverpb.KV/RangeStream");
        tokio::spawn(respond_with(respond, *replies.next().unwrap(), sent.clone()));
    }
}

async fn respond_with(mut respond: SendResponse<Bytes>, reply: Reply, sent: Arc<AtomicU64>) {
    let response = || http::Response::builder().header("content-type", "application/grpc");
    let message = |length: usize, n_sent: usize| {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        bytes.resize(5 + n_sent, b'x');
        bytes
    };
    let bytes = match reply {
        Reply::Good(n_messages) => message(MESSAGE_BYTES, MESSAGE_BYTES).repeat(n_messages),
        Reply::Short => message(1, 1),
        Reply::Cut => message(MESSAGE_BYTES, MESSAGE_BYTES - 1),
        Reply::Rejected(status) => {
            let head = response().header("grpc-status", status).header("grpc-message", "no");
            respond.send_response(head.body(()).unwrap(), true).unwrap();
            return;
        }
        Reply::Reset => return respond.send_reset(h2::Reason::INTERNAL_ERROR),
    };
    let mut body = respond.send_response(response().body(()).unwrap(), false).unwrap();
    if send(&mut body, bytes.into(), &sent).await.is_some() {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let _ = body.send_trailers(trailers);
    }
}

/// Sends what the client's window has room for, until all is sent; `None` when the client has gone.
async fn send(body: &mut SendStream<Bytes>, mut bytes: Bytes, sent: &AtomicU64) -> Option<()> {
    while !bytes.is_empty() {
        body.reserve_capacity(bytes.len());
        let room = std::future::poll_fn(|context| body.poll_capacity(context)).await?.ok()?;
        let part = bytes.split_to(room.min(bytes.len()));
        sent.fetch_add(part.len() as u64, Ordering::Relaxed);
        body.send_data(part, false).ok()?;
    }
    Some(())
}

fn open(served: &Served, n_clients: usize, reading: Reading) -> Readers {
    let list = Requests::list_first(Method::RangeStream, KEYS, ROW_BYTES);
    Readers::open(served.address, n_clients, list, reading).unwrap()
}

#[test]
fn lists_follow_each_other() {
    let served = serve(&[Reply::Good(1), Reply::Good(3)]);
    let tally = open(&served, 3, Reading::Always).run(|tally| tally.n_done >= 30).unwrap();
    assert_eq!((tally.n_failed, tally.n_refused, tally.fault), (0, 0, None));
    // Each client gets one and three messages in turn, and may be one list ahead.
    let message = (MESSAGE_BYTES + 5) as u64;
    assert_eq!(tally.done_bytes % message, 0);
    assert!((2 * tally.n_done - 3..=2 * tally.n_done + 3).contains(&(tally.done_bytes / message)));
    assert!(tally.bytes >= tally.done_bytes && tally.first_bytes.len() >= tally.n_done);
}

#[test]
fn refusals_are_no_failures() {
    let served = serve(&[Reply::Good(1), Reply::Rejected("8")]);
    let tally = open(&served, 1, Reading::Always).run(|tally| tally.n_done >= 3).unwrap();
    assert_eq!((tally.n_done, tally.n_refused, tally.n_failed, tally.fault), (3, 2, 0, None));
}

#[test]
fn what_is_no_list_is_a_failure() {
    let cases: [(&'static [Reply], &str); 4] = [
        (&[Reply::Short], "a list has ended after 6 bytes"),
        (&[Reply::Cut], "a list has ended after 300004 bytes"),
        (&[Reply::Rejected("14")], "a list has ended with status 14"),
        (&[Reply::Reset], "the server has reset a list"),
    ];
    for (replies, expected) in cases {
        let served = serve(replies);
        let tally = open(&served, 1, Reading::Always).run(|tally| tally.n_failed >= 2).unwrap();
        assert_eq!((tally.n_done, tally.fault.as_deref()), (0, Some(expected)));
    }
}

#[test]
fn a_client_without_a_window_takes_64_kib() {
    let served = serve(&[Reply::Good(1)]);
    let tally = open(&served, 2, Reading::FirstWindow).run(|tally| tally.bytes >= 2 * 65_535).unwrap();
    assert_eq!((tally.bytes, tally.n_done, tally.n_dropped, tally.fault), (2 * 65_535, 0, 0, None));
    assert_eq!(served.sent.load(Ordering::Relaxed), 2 * 65_535);
}

#[test]
fn a_client_without_a_window_may_be_dropped() {
    let served = serve(&[Reply::Reset]);
    let tally = open(&served, 2, Reading::FirstWindow).run(|tally| tally.n_dropped >= 2).unwrap();
    assert_eq!((tally.n_dropped, tally.n_failed, tally.fault), (2, 0, None));
}

#[test]
fn a_client_that_does_not_read_requests_its_list() {
    let served = serve(&[Reply::Good(1)]);
    let message = (MESSAGE_BYTES + 5) as u64;
    let is_over = |_: &Tally| served.sent.load(Ordering::Relaxed) >= 2 * message;
    let tally = open(&served, 2, Reading::Never).run(is_over).unwrap();
    assert_eq!((tally.bytes, tally.n_done), (0, 0));
}
