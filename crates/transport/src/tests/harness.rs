//! Members that record what they receive, each with a transport and a port.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::LeaseTimeToLiveResponse;
use ferretcd_api_proto::raftpb::{self, Entry, MessageType};
use ferretcd_backend::Batch;
use ferretcd_base::{ClusterId, MemberId};
use ferretcd_engine::peers::{HashKv, LeaseInfo, Promote, RenewLease};
use ferretcd_engine::{
    Caller, PeerError, PeerFuture, PeerHash, PeerRequest, PeerResponse, PeerVersions, Peers,
};
use ferretcd_membership::{Change, Membership};
use ferretcd_wal::{ConfState, SnapshotMark};
use http::{Request, Response, StatusCode};
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::peer::StreamKind;
use crate::{Config, LocalMember, OutgoingSnapshot, PeerReport, PeerServer, PeerTransport, PlainConnect};

pub(super) const CLUSTER: ClusterId = ClusterId(0xc1);
/// After the first snapshot that could not be sent.
pub(super) const SNAPSHOT_PAUSE: Duration = Duration::from_millis(10);
/// Longer than any step of a test that passes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A snapshot that a member has stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) mark: SnapshotMark,
    pub(super) sender: MemberId,
    /// The length that the sender announced.
    pub(super) len: Option<u64>,
    pub(super) image: Vec<u8>,
}

/// How a member treats snapshots.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// The image that it sends, and the length that it announces.
    pub(super) image: Option<(Vec<u8>, u64)>,
    /// Whether storing fails.
    pub(super) is_disk_full: bool,
    /// Whether storing fails before the image is read.
    pub(super) has_no_room: bool,
    /// Storing waits until the test drops the sender.
    pub(super) gate: Option<std::sync::mpsc::Receiver<()>>,
}

/// A member that records what it receives.
#[derive(Debug)]
pub(super) struct Recorder {
    id: MemberId,
    received: mpsc::Sender<raftpb::Message>,
    reports: mpsc::Sender<PeerReport>,
    pub(super) stored: Mutex<Vec<Stored>>,
    pub(super) script: Mutex<Script>,
    /// Errors of the next requests, in order.
    pub(super) errors: Mutex<VecDeque<PeerError>>,
}

impl LocalMember for Recorder {
    fn id(&self) -> MemberId {
        self.id
    }

    fn cluster_id(&self) -> ClusterId {
        CLUSTER
    }

    fn members(&self) -> Vec<ferretcd_membership::Member> {
        vec![ferretcd_membership::Member {
            id: self.id,
            name: "recorder".to_owned(),
            ..ferretcd_membership::Member::default()
        }]
    }

    fn receive(&self, message: ferretcd_raft_node::Message) {
        let sent = self.received.try_send(message.into());
        assert!(!matches!(sent, Err(TrySendError::Full(_))), "there is room for all messages of a test");
    }

    fn report(&self, report: PeerReport) {
        let sent = self.reports.try_send(report);
        // The test may be over, and removals are reported as often as peers are dialled.
        let is_lost = matches!(sent, Err(TrySendError::Full(_))) && report != PeerReport::Removed;
        assert!(!is_lost, "there is room for all reports of a test");
    }

    fn serve(&self, _caller: &Caller, request: PeerRequest) -> PeerFuture<PeerResponse> {
        let error = self.errors.lock().pop_front();
        let response = response(request);
        Box::pin(async { error.map_or(Ok(response), Err) })
    }

    fn open_snapshot(&self, at_least: u64) -> io::Result<OutgoingSnapshot> {
        let image = self.script.lock().image.clone();
        let (image, len) = image.ok_or_else(|| io::Error::other("nothing to send"))?;
        Ok(OutgoingSnapshot { mark: mark(at_least + 5), len, body: Box::new(io::Cursor::new(image)) })
    }

    fn accept_snapshot(
        &self,
        mark: SnapshotMark,
        sender: MemberId,
        len: Option<u64>,
        body: &mut dyn Read,
    ) -> io::Result<()> {
        let gate = self.script.lock().gate.take();
        if let Some(gate) = gate {
            // It errs when the test opens the gate by dropping the sender.
            let _ = gate.recv();
        }
        if self.script.lock().has_no_room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut image = Vec::new();
        body.read_to_end(&mut image)?;
        if self.script.lock().is_disk_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.stored.lock().push(Stored { mark, sender, len, image });
        Ok(())
    }
}

fn response(request: PeerRequest) -> PeerResponse {
    match request {
        PeerRequest::RenewLease(RenewLease(lease)) => PeerResponse::RenewLease(lease.0 * 10),
        PeerRequest::LeaseInfo(LeaseInfo(request)) => {
            let keys = if request.keys { vec!["k".into()] } else { vec![] };
            PeerResponse::LeaseInfo(LeaseTimeToLiveResponse {
                id: request.id,
                ttl: 3,
                granted_ttl: 9,
                keys,
                ..LeaseTimeToLiveResponse::default()
            })
        }
        PeerRequest::Promote(Promote(id)) => {
            let member = ferretcd_membership::Member { id, ..ferretcd_membership::Member::default() };
            PeerResponse::Promote(vec![member])
        }
        PeerRequest::HashKv(HashKv(revision)) => {
            PeerResponse::HashKv(PeerHash { hash: 0xabcd, revision, compact_revision: -1 })
        }
        PeerRequest::GetVersions(_) => PeerResponse::GetVersions(PeerVersions {
            server: "3.7.1".to_owned(),
            cluster: "3.7.0".to_owned(),
        }),
        PeerRequest::IsDowngrading(_) => PeerResponse::IsDowngrading(true),
    }
}

/// The mark of a snapshot that was requested at `index - 5`.
pub(super) fn mark(index: u64) -> SnapshotMark {
    let conf_state = ConfState { voters: vec![1, 2], learners: vec![3], ..ConfState::default() };
    SnapshotMark { index, term: 4, conf_state: Some(conf_state) }
}

/// A member with its transport and its port.
pub(super) struct Node {
    pub(super) id: MemberId,
    pub(super) address: SocketAddr,
    pub(super) transport: PeerTransport,
    pub(super) recorder: Arc<Recorder>,
    pub(super) registry: Registry,
    received: mpsc::Receiver<raftpb::Message>,
    reports: mpsc::Receiver<PeerReport>,
    accepting: JoinHandle<()>,
}

pub(super) async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports")
}

impl Node {
    /// A member without peers.
    pub(super) fn start(id: u64, listener: TcpListener) -> Self {
        let id = MemberId(id);
        let address = listener.local_addr().expect("it is bound");
        let config = Config {
            peer_urls: vec![format!("http://{address}")],
            connect: Arc::new(PlainConnect::default()),
            dial_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(5),
            silence: Duration::from_millis(600),
            write_timeout: Duration::from_millis(600),
            retry_pause: Duration::from_millis(10),
            snapshot_pause: SNAPSHOT_PAUSE,
            snapshot_timeout: Duration::from_secs(10),
        };
        let registry = Registry::new();
        let transport =
            PeerTransport::register(config, &registry, &Handle::current()).expect("a registry of its own");
        let (received_in, received) = mpsc::channel(100_000);
        let (reports_in, reports) = mpsc::channel(10_000);
        let recorder = Arc::new(Recorder {
            id,
            received: received_in,
            reports: reports_in,
            stored: Mutex::default(),
            script: Mutex::default(),
            errors: Mutex::default(),
        });
        let others = tower::service_fn(|request: Request<hyper::body::Incoming>| async move {
            let mut response = Response::new(r#"{"etcdserver":"3.7.1","etcdcluster":"3.7.0"}"#.to_owned());
            if request.uri().path() != "/version" {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            Ok(response)
        });
        let server = PeerServer::new(transport.clone(), others);
        let accepting = tokio::spawn(accept(listener, server));
        transport.attach(Arc::clone(&recorder) as Arc<dyn LocalMember>);
        Self { id, address, transport, recorder, registry, received, reports, accepting }
    }

    /// Members 1 to `n` of one cluster, each reading the streams of all others.
    pub(super) async fn cluster(n: u64) -> Vec<Node> {
        let mut nodes = Vec::new();
        for id in 1..=n {
            nodes.push(Node::start(id, listen().await));
        }
        let membership = membership(nodes.iter().map(|node| (node.id.0, node.address)));
        for node in &nodes {
            node.transport.set_members(&membership);
        }
        for node in &nodes {
            for other in nodes.iter().filter(|other| other.id != node.id) {
                node.is_read_by(other.id.0).await;
            }
        }
        nodes
    }

    /// The transport, for typed requests.
    pub(super) fn peers(&self) -> &dyn Peers {
        &self.transport
    }

    /// Waits until a peer reads both streams.
    pub(super) async fn is_read_by(&self, id: u64) {
        eventually(|| self.has_readers(id)).await;
    }

    /// Whether a peer reads both streams.
    pub(super) fn has_readers(&self, id: u64) -> bool {
        let peer = self.transport.table().peer(MemberId(id));
        let kinds = [StreamKind::Appends, StreamKind::Messages];
        peer.is_ok_and(|peer| kinds.iter().all(|kind| peer.queue(*kind).is_attached()))
    }

    pub(super) fn send(&self, messages: Vec<raftpb::Message>) {
        let messages = messages.into_iter().map(|message| message.try_into().expect("it is well formed"));
        self.transport.send(messages.collect());
    }

    /// The next message.
    pub(super) async fn received(&mut self) -> raftpb::Message {
        timeout(TIMEOUT, self.received.recv()).await.expect("a message comes").expect("the member lives")
    }

    /// Whether the test has taken all received messages.
    pub(super) fn has_received_all(&mut self) -> bool {
        self.received.try_recv().is_err()
    }

    /// Waits for a report; others before it are skipped.
    pub(super) async fn reported(&mut self, expected: &PeerReport) {
        let wait = async { while self.reports.recv().await.expect("the member lives") != *expected {} };
        assert!(timeout(TIMEOUT, wait).await.is_ok(), "{expected:?} was not reported");
    }

    /// All reports that the test has not taken.
    pub(super) fn reports(&mut self) -> Vec<PeerReport> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }

    /// Stops the member, so that its port is free.
    pub(super) async fn stop(self) -> SocketAddr {
        self.transport.stop();
        self.accepting.abort();
        let _ = self.accepting.await;
        self.address
    }

    /// A connection to the member's port, for raw bytes.
    pub(super) async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// The raw response to a raw request.
    pub(super) async fn respond(&self, request: &str, body: &[u8]) -> String {
        let mut stream = self.dial().await;
        stream.write_all(request.as_bytes()).await.expect("it is open");
        stream.write_all(body).await.expect("it is open");
        let mut response = Vec::new();
        // A reset after the response does not matter.
        let _ = timeout(TIMEOUT, stream.read_to_end(&mut response)).await.expect("it responds and closes");
        String::from_utf8_lossy(&response).into_owned()
    }

    /// The value of a series in the text of the metrics.
    pub(super) fn metric(&self, series: &str) -> Option<f64> {
        let text =
            prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).expect("plain text");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a number"))
    }
}

async fn accept(listener: TcpListener, server: PeerServer) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, remote)) = listener.accept().await {
        let server = server.clone();
        connections
            .spawn(async move { server.serve_connection(stream, remote, std::future::pending()).await });
    }
}

pub(super) fn unreachable(id: u64) -> PeerReport {
    PeerReport::Unreachable(MemberId(id))
}

pub(super) fn snapshot_sent(to: u64) -> PeerReport {
    PeerReport::Snapshot { to: MemberId(to), is_sent: true }
}

pub(super) fn snapshot_failed(to: u64) -> PeerReport {
    PeerReport::Snapshot { to: MemberId(to), is_sent: false }
}

/// The headers of a request from member `from` of the cluster to member `to`.
pub(super) fn headers(from: u64, to: u64) -> String {
    format!(
        "host: h\r\nx-server-from: {from:x}\r\nx-server-version: 3.7.1\r\nx-min-cluster-version: 3.0.0\r\n\
         x-etcd-cluster-id: {CLUSTER}\r\nx-raft-to: {to:x}\r\n"
    )
}

pub(super) fn membership(members: impl IntoIterator<Item = (u64, SocketAddr)>) -> Membership {
    let mut membership = Membership::default();
    for (id, address) in members {
        let peer_urls = vec![format!("http://{address}")];
        let member = ferretcd_membership::Member {
            id: MemberId(id),
            peer_urls,
            ..ferretcd_membership::Member::default()
        };
        membership
            .change(Change::Add { member, learners_max: 9 }, &mut Batch::default())
            .expect("ids and URLs differ");
    }
    membership
}

pub(super) fn without(mut membership: Membership, id: u64) -> Membership {
    membership.change(Change::Remove(MemberId(id)), &mut Batch::default()).expect("it is a member");
    membership
}

/// Polls a condition that no event announces.
pub(super) async fn eventually(holds: impl Fn() -> bool) {
    let wait = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        while !holds() {
            ticks.tick().await;
        }
    };
    assert!(timeout(TIMEOUT, wait).await.is_ok(), "it does not come about");
}

pub(super) fn heartbeat(from: u64, to: u64, number: u64) -> raftpb::Message {
    raftpb::Message {
        r#type: Some(MessageType::MsgHeartbeat.into()),
        from: Some(from),
        to: Some(to),
        term: Some(2),
        commit: Some(number),
        ..raftpb::Message::default()
    }
}

/// An append of one entry after `index`, with data of some bytes.
pub(super) fn append(from: u64, to: u64, index: u64, bytes: usize) -> raftpb::Message {
    let entry = Entry {
        term: Some(2),
        index: Some(index + 1),
        data: Some(vec![b'x'; bytes].into()),
        ..Entry::default()
    };
    raftpb::Message {
        r#type: Some(MessageType::MsgApp.into()),
        from: Some(from),
        to: Some(to),
        term: Some(2),
        log_term: Some(2),
        index: Some(index),
        entries: vec![entry],
        commit: Some(index),
        ..raftpb::Message::default()
    }
}

pub(super) fn snapshot_message(from: u64, to: u64, index: u64) -> raftpb::Message {
    let metadata = raftpb::SnapshotMetadata {
        index: Some(index),
        term: Some(2),
        conf_state: Some(raftpb::ConfState { voters: vec![1, 2], ..raftpb::ConfState::default() }),
    };
    raftpb::Message {
        r#type: Some(MessageType::MsgSnap.into()),
        from: Some(from),
        to: Some(to),
        term: Some(4),
        snapshot: Some(raftpb::Snapshot { data: None, metadata: Some(metadata) }),
        ..raftpb::Message::default()
    }
}
