//! What is too much in one call ends that call alone.

use ferretcd_grpc_server::Exposure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::frames::*;
use crate::support::*;

/// The list of fields that a call may have, in bytes.
const LIST_BYTES_MAX: usize = 16 << 20;

/// A field of a call, with `bytes` in its value.
fn field(name: &str, bytes: usize) -> Vec<u8> {
    [&[0x00], &text(name.as_bytes())[..], &text(&vec![b'v'; bytes])].concat()
}

#[tokio::test]
async fn metadata_may_be_large() {
    let served = Served::start().await;
    let message = frame(&range("a"));
    let mut client = RawClient::connect(served.address).await;
    let authority = [&[0x41], &text(b"server")[..]].concat();
    let mut check = async |what: &str, more: &[u8], is_served: bool| {
        for authority in [&authority[..], &[]] {
            let answer = client.call(&[authority, &fields(RANGE), more].concat(), &message).await;
            assert_eq!(
                answer.is_served(),
                is_served,
                "{what}: {:?} {:?}",
                answer.reset,
                answer.headers.len()
            );
            assert_eq!(client.goaway, None, "{what}");
        }
    };
    for bytes in [8_000, 17_000, 60_000, 1 << 20, LIST_BYTES_MAX - 1000] {
        check(&format!("one field of {bytes}"), &field("x-note", bytes), true).await;
    }
    let many: Vec<u8> = (0..20_000).flat_map(|n| field(&format!("x-{n}"), 5)).collect();
    check("twenty thousand fields", &many, true).await;
    let same: Vec<u8> = (0..100_000).flat_map(|_| field("x-note", 5)).collect();
    check("a hundred thousand fields of one name", &same, true).await;
    // Too much: the next call is served on the same connection.
    check("one field that is too large", &field("x-note", LIST_BYTES_MAX), false).await;
    let names: Vec<u8> = (0..30_000).flat_map(|n| field(&format!("x-{n}"), 5)).collect();
    check("thirty thousand names", &names, false).await;
    // Four thousand bytes, as often as one likes.
    let remembered = [&[0x40], &text(b"x-note")[..], &text(&[b'v'; 4000])].concat();
    check("a field that is referred to", &[&remembered[..], &[0xbe; 100]].concat(), true).await;
    check("a field that is referred to too often", &[&remembered[..], &vec![0xbe; 1 << 20]].concat(), false)
        .await;
    check("none", &[], true).await;
}

#[tokio::test]
async fn faulty_calls_end_alone() {
    let served = Served::start().await;
    let message = frame(&range("a"));
    let mut client = RawClient::connect(served.address).await;
    // More than the HTTP/2 library allows by itself.
    for _ in 0..1500 {
        let answer = client.call(&[&[0x83, 0x86, 0x04], &text(b"no path")[..]].concat(), &message).await;
        assert_eq!((answer.reset, &client.goaway), (Some(1), &None));
    }
    assert!(client.call(&fields(RANGE), &message).await.is_served());
}

#[tokio::test]
async fn heads_of_http1_may_be_large() {
    let served = Served::start().await;
    let probes = served.also_exposing(Exposure::Metrics).await;
    let get = async |address, fields: &str| {
        let request = format!("GET /health HTTP/1.1\r\nHost: server\r\nConnection: close\r\n{fields}\r\n");
        let mut socket = TcpStream::connect(address).await.expect("the server accepts");
        let (mut reader, mut writer) = socket.split();
        let mut response = Vec::new();
        let write = async {
            // The server may have enough before the end.
            let _ = writer.write_all(request.as_bytes()).await;
        };
        let read = async {
            let _ = soon("a response", reader.read_to_end(&mut response)).await;
        };
        tokio::join!(write, read);
        String::from_utf8_lossy(&response).split_whitespace().nth(1).map(str::to_owned)
    };
    for address in [served.address, probes] {
        for (n, bytes) in [(1, 60_000), (1, 1 << 20), (500, 100), (990, 1000)] {
            let fields = format!("x-note: {}\r\n", "v".repeat(bytes)).repeat(n);
            assert_eq!(get(address, &fields).await.as_deref(), Some("200"), "{n} of {bytes}");
        }
        let names: String = (0..990).map(|n| format!("x-{n}: v\r\n")).collect();
        assert_eq!(get(address, &names).await.as_deref(), Some("200"));
        let too_many = "x-note: v\r\n".repeat(2000);
        assert_eq!(get(address, &too_many).await.as_deref(), Some("431"));
    }
}
