//! What scripts see that read responses as text.

use ferretcd_tests::Cluster;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::start;

on_both! {
    names_of_headers_are_spelled_as_go_spells_them => headers(),
}

async fn headers<C: Cluster>() {
    let Some(server) = start::<C>("names of headers").await else { return };
    let mut socket =
        TcpStream::connect(server.endpoint().trim_start_matches("http://")).await.expect("a port");
    let request = "POST /v3/kv/range HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 14\r\n\r\n{\"key\":\"YQ==\"}";
    socket.write_all(request.as_bytes()).await.expect("it is open");
    let mut response = String::new();
    socket.read_to_string(&mut response).await.expect("the connection ends in order");
    let (head, _) = response.split_once("\r\n\r\n").expect("a head");
    let mut names: Vec<&str> =
        head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    names.sort_unstable();
    let expected = [
        "Access-Control-Allow-Headers",
        "Access-Control-Allow-Methods",
        "Access-Control-Allow-Origin",
        "Connection",
        "Content-Length",
        "Content-Type",
        "Date",
        "Grpc-Metadata-Content-Type",
    ];
    assert_eq!(names, expected, "{head}");
}
