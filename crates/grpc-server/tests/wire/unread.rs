//! Responses to requests whose body no service reads.

use std::time::{Duration, Instant};

use ferretcd_grpc_server::Exposure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::frames::*;
use crate::support::*;

/// A POST of HTTP/2.
fn post(path: &str, content_type: &str) -> Vec<u8> {
    let path = [&[0x83, 0x86, 0x04], &text(path.as_bytes())[..]].concat();
    [&path[..], &[0x0f, 0x10], &text(content_type.as_bytes())].concat()
}

#[tokio::test]
async fn responses_come_whole_before_any_reset() {
    let served = Served::start().await;
    let probes = served.also_exposing(Exposure::Metrics).await;
    let rejected: &[_] = &[
        ("/nowhere", "text/plain"),
        ("/health", "text/plain"),
        ("//health", "text/plain"),
        ("/some.Service/Call", "application/grpc"),
        ("/etcdserverpb.KV/Nothing", "application/grpc"),
    ];
    for (address, rejected) in [(served.address, rejected), (probes, &rejected[..1])] {
        let mut client = RawClient::connect(address).await;
        for &(path, content_type) in rejected {
            let block = post(path, content_type);
            // What is there at once, is read before the response; what comes late or is more, beside it.
            for (first, rest) in [(0, 0), (100, 0), (200_000, 0), (0, 300_000), (400_000, 400_000)] {
                let stream = client.begin(&block, &vec![0; first]).await;
                let what = format!("{path}, {first} and {rest}");
                if rest > 0 {
                    let answer = client.response(stream).await;
                    assert!(answer.is_ended && answer.reset.is_none(), "{what}: {answer:?}");
                }
                client.finish(stream, &vec![0; rest]).await;
                let answer = client.response(stream).await;
                assert!(answer.is_ended && answer.reset.is_none(), "{what}: {answer:?}");
            }
        }
        assert_eq!(client.goaway, None);
    }
}

#[tokio::test]
async fn http1_responds_to_what_it_does_not_read() {
    let served = Served::start().await;
    let exchange = async |path: &str, more: &str, body: usize, bytes: usize| {
        let mut socket = TcpStream::connect(served.address).await.expect("the server accepts");
        let head = format!("POST {path} HTTP/1.1\r\nHost: server\r\nContent-Length: {body}\r\n{more}\r\n");
        let (mut reader, mut writer) = socket.split();
        let write = async {
            writer.write_all(head.as_bytes()).await.expect("the server reads");
            writer.write_all(&vec![b'b'; bytes]).await
        };
        let mut response = vec![0; 12];
        let read = async { soon("a response", reader.read_exact(&mut response)).await.map(drop) };
        let (sent, received) = tokio::join!(write, read);
        sent.expect("the server reads");
        received.expect("the server responds");
        String::from_utf8(response).expect("a status line")
    };
    for (path, status) in
        [("/nowhere", "HTTP/1.1 404"), ("/health", "HTTP/1.1 405"), ("//health", "HTTP/1.1 307")]
    {
        for body in [0, 100, 200_000, 5_000_000] {
            assert_eq!(exchange(path, "", body, body).await, status, "{path}, {body}");
            // The rest of the body never comes, or waits for a sign.
            assert_eq!(exchange(path, "", body + 1000, body).await, status, "{path}, {body}");
            assert_eq!(
                exchange(path, "Expect: 100-continue\r\n", body + 1, 0).await,
                status,
                "{path}, {body}"
            );
        }
    }
}

#[tokio::test]
async fn calls_that_go_on_sending_keep_no_other_waiting() {
    let served = Served::start().await;
    let client = served.client().await;
    let begin = Instant::now();
    let mut calls = Vec::new();
    for _ in 0..20 {
        let (response, request) = client.begin("/some.Service/Call").await;
        assert_eq!(FullResponse::of(response).await.outcome(), "12 unknown%20service%20some.Service");
        calls.push(request);
    }
    // Nor does the drain.
    soon("the end of the server", served.drain()).await.expect("no panic");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}
