//! Requests of other members whose bodies never end, at every path of the peer port.

use std::fs;
use std::net::SocketAddr;

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Caller, Ferretcd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::started::{PATIENCE, READY, Started, directory};

const MIB: u64 = 1 << 20;
/// What is read of a body that is not needed, so that its sender sees the response; and what the system takes.
const DROPPED: u64 = 64 * MIB + SOCKETS;
const SOCKETS: u64 = 32 * MIB;
/// Memory for requests that need none, in which much else happens.
const SMALL: u64 = 32 * MIB;
/// The longest message of raft.
const MESSAGE: u64 = 512 * MIB;
/// The longest message before a snapshot.
const HEAD: u64 = 64 * MIB;

/// The begin of a request, and how much is taken of its body at most.
struct Request {
    method: &'static str,
    path: &'static str,
    /// It comes from the cluster.
    fits: bool,
    /// The body begins like this.
    begin: Vec<u8>,
    taken_max: u64,
}

fn request(method: &'static str, path: &'static str) -> Request {
    // The rest of a rejected snapshot is dropped for half a second, however much comes.
    let taken_max = if path == "/raft/snapshot" { u64::MAX } else { DROPPED };
    Request { method, path, fits: false, begin: Vec::new(), taken_max }
}

/// The requests whose bodies are not read, or not for long.
fn small() -> Vec<Request> {
    let paths = [
        ("POST", "/raft"),
        ("PUT", "/raft"),
        ("POST", "/raft/snapshot"),
        ("GET", "/raft/snapshot"),
        ("GET", "/raft/probing"),
        ("GET", "/raft/stream/msgapp/1"),
        ("GET", "/raft/stream/message/1"),
        ("POST", "/raft/stream/message/1"),
        ("GET", "/members"),
        ("POST", "/members"),
        ("GET", "/members/hashkv"),
        ("POST", "/members/promote/1"),
        ("POST", "/leases"),
        ("POST", "/leases/internal"),
        ("GET", "/ferretcd/state?at-least=1"),
        ("GET", "/downgrade/enabled"),
        ("GET", "/version"),
        ("POST", "/version"),
        ("GET", "/health"),
        ("GET", "/metrics"),
        ("POST", "/nowhere"),
        ("POST", "/"),
    ];
    let all = paths.into_iter().flat_map(|(method, path)| {
        // The same as the request of a member, unless all of its body is wanted then.
        let fits = (path != "/raft").then(|| Request { fits: true, ..request(method, path) });
        [Some(request(method, path)), fits].into_iter().flatten()
    });
    let too_long = Request { fits: true, begin: vec![0xff; 8], ..request("POST", "/raft/snapshot") };
    all.chain([too_long]).collect()
}

/// Those whose bodies are read up to a bound, and the bound of the memory for that.
fn large() -> [(Request, u64); 2] {
    let length = HEAD.to_be_bytes().to_vec();
    let head = Request { fits: true, begin: length, ..request("POST", "/raft/snapshot") };
    let message = Request { fits: true, taken_max: MESSAGE + SOCKETS, ..request("POST", "/raft") };
    // A message is in memory as pieces and, when it is complete, as a whole.
    [(head, 4 * HEAD), (message, 2 * MESSAGE)]
}

/// None of them is read to the end, which would be never, or held in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_bodies_end() {
    let dir = directory();
    let mut member = Started::sole::<Ferretcd>(&dir.path().join("data"), &[]).await;
    member.says(READY).await;
    let client = format!("http://{}", member.serves().await);
    let peer = member.address_of("serving peer traffic");
    let header = Caller::of(&client).call(pb::StatusRequest {}).await.expect("it serves").header;
    let header = header.expect("all responses have one");
    let identity = format!(
        "x-etcd-cluster-id: {:x}\r\nx-server-from: 1\r\nx-raft-to: {:x}\r\nx-server-version: 3.7.1\r\n\
         x-min-cluster-version: 3.0.0\r\n",
        header.cluster_id, header.member_id
    );
    let before = peak_bytes(&member);
    let grows = |what: &str, most: u64| {
        let grown = peak_bytes(&member) - before;
        assert!(grown <= most, "{grown} bytes of memory for {what}");
    };
    for request in small() {
        send(peer, &request, &identity).await;
        grows(request.path, SMALL);
    }
    for (request, most) in large() {
        send(peer, &request, &identity).await;
        grows(request.path, SMALL + most);
    }
    // It goes on.
    Caller::of(&client).call(pb::StatusRequest {}).await.expect("it serves");
}

/// Sends until the connection is closed.
async fn send(address: SocketAddr, request: &Request, identity: &str) {
    let Request { method, path, fits, .. } = request;
    let identity = if *fits { identity } else { "" };
    let what = format!("{method} {path}, {}", if *fits { "as a member" } else { "as a stranger" });
    let head = format!("{method} {path} HTTP/1.1\r\nhost: h\r\n{identity}transfer-encoding: chunked\r\n\r\n");
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    let (mut reader, mut writer) = socket.split();
    let mut response = Vec::new();
    let mut taken = 0;
    let reading = async {
        // It may be reset when there is still something to read, after the response.
        let _ = reader.read_to_end(&mut response).await;
    };
    let writing = async {
        writer.write_all(head.as_bytes()).await?;
        let begin = chunk(&request.begin);
        if !request.begin.is_empty() {
            writer.write_all(&begin).await?;
        }
        let endless = chunk(&[0; 64 << 10]);
        loop {
            writer.write_all(&endless).await?;
            taken += endless.len() as u64;
            assert!(taken <= request.taken_max, "{what}: {taken} bytes are read");
        }
    };
    let writing = async {
        let written: std::io::Result<()> = writing.await;
        written.expect_err("it ends by an error");
    };
    let ended = timeout(PATIENCE, async { tokio::join!(reading, writing) }).await;
    ended.unwrap_or_else(|_| panic!("{what}: the connection stays open, {taken} bytes were read"));
    let response = String::from_utf8_lossy(&response);
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 "), "{what}: {response}");
}

/// A chunk of a body whose length is not announced.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The most memory that a process has had at a time.
fn peak_bytes(member: &Started) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", member.pid().as_raw_nonzero()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux has it");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}
