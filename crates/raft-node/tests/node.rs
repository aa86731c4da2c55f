//! A running node on a disk in memory that can crash or fail.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferretcd_api_proto::raftpb::{self, MessageType};
use ferretcd_base::{LogPosition, MemberId};
use ferretcd_raft_node::{
    Applied, Committed, ConfChange, ConfChangeKind, Config, Error, Host, Message, NoPeers, Node, NodeHandle,
    Payload, Persisted, Progress, ReadToken, Rejected, Role, Status, Transport, bootstrap,
};
use ferretcd_wal::{
    Config as WalConfig, HardState, MemDir, Metadata, Operation, Recovered, SnapshotMark, Wal,
};

const ME: MemberId = MemberId(1);
/// Only a bound for failing tests.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
enum HostEvent {
    Committed(Vec<Committed>),
    Install(SnapshotMark),
    Read(ReadToken, u64),
    Dropped(Vec<u64>),
    Role(Status),
    Persisted(Persisted),
    Failed(String),
}

struct EventSender(SyncSender<HostEvent>);

impl EventSender {
    fn send(&self, event: HostEvent) {
        self.0.try_send(event).expect("the test receives");
    }
}

impl Host for EventSender {
    fn committed(&self, entries: Vec<Committed>) {
        self.send(HostEvent::Committed(entries));
    }

    fn install(&self, mark: SnapshotMark) {
        self.send(HostEvent::Install(mark));
    }

    fn read_ready(&self, token: ReadToken, index: u64) {
        self.send(HostEvent::Read(token, index));
    }

    fn proposals_dropped(&self, tokens: Vec<u64>) {
        self.send(HostEvent::Dropped(tokens));
    }

    fn role_changed(&self, status: &Status) {
        self.send(HostEvent::Role(status.clone()));
    }

    fn persisted(&self, report: &Persisted) {
        self.send(HostEvent::Persisted(*report));
    }

    fn failed(&self, error: &Error) {
        self.send(HostEvent::Failed(error.to_string()));
    }
}

struct Member {
    node: Option<Node>,
    handle: NodeHandle,
    events: Receiver<HostEvent>,
    applied: u64,
    conf_state: ferretcd_wal::ConfState,
}

fn config() -> Config {
    Config {
        id: ME,
        heartbeat: Duration::from_millis(100),
        election_ticks: 10,
        pre_vote: true,
        check_quorum: true,
        max_size_per_msg: 1 << 20,
        max_inflight_msgs: 256,
        catchup_entries: 10,
        catchup_bytes: 64 << 20,
        unapplied_max: 5000,
        inbox: 1024,
        proposal_ticks: 50,
        advance_ticks: true,
    }
}

fn wal_config() -> WalConfig {
    WalConfig { segment_bytes: 4096, unsafe_no_fsync: false }
}

fn open(dir: &MemDir) -> (Wal, Recovered) {
    Wal::open_on(dir.clone(), wal_config()).unwrap()
}

/// The log of a new cluster of one.
fn new_log() -> MemDir {
    let dir = MemDir::new();
    let mut wal = Wal::create_on(dir.clone(), Metadata { node_id: 1, cluster_id: 2 }, wal_config()).unwrap();
    bootstrap(&mut wal, &[(ME, Bytes::from_static(b"{}"))]).unwrap();
    dir
}

impl Member {
    fn start(dir: &MemDir, applied: Applied) -> Self {
        Self::start_with(dir, applied, config())
    }

    fn start_with(dir: &MemDir, applied: Applied, config: Config) -> Self {
        Self::start_among(dir, applied, config, Arc::new(NoPeers))
    }

    fn start_among(dir: &MemDir, applied: Applied, config: Config, peers: Arc<dyn Transport>) -> Self {
        let (wal, recovered) = open(dir);
        let (sender, events) = sync_channel(100_000);
        let Applied { index, conf_state } = applied.clone();
        let node =
            Node::start(config, wal, recovered, applied, peers, Arc::new(EventSender(sender))).unwrap();
        Self { handle: node.handle(), node: Some(node), events, applied: index, conf_state }
    }

    /// Applies what is committed until `done` returns something for an event.
    fn apply_until<T>(&mut self, mut done: impl FnMut(&HostEvent) -> Option<T>) -> T {
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("the node reports in time");
            self.apply(&event);
            if let Some(found) = done(&event) {
                return found;
            }
        }
    }

    fn apply(&mut self, event: &HostEvent) {
        let HostEvent::Committed(entries) = event else { return };
        for entry in entries {
            assert_eq!(entry.position.index, self.applied + 1);
            self.applied = entry.position.index;
            if let Payload::ConfChange { change } = &entry.payload {
                match change.kind {
                    ConfChangeKind::AddNode => self.conf_state.voters.push(change.node.0),
                    ConfChangeKind::AddLearnerNode => self.conf_state.learners.push(change.node.0),
                    ConfChangeKind::RemoveNode | ConfChangeKind::UpdateNode => {}
                }
                self.handle.configure(entry.position.index, Some(change.clone()));
            }
        }
        self.handle.applied(self.applied);
    }

    /// Proposes and waits until this very proposal is committed; returns its entry.
    fn write(&mut self, data: &Bytes) -> Committed {
        self.handle.propose(1, data.clone()).unwrap();
        let is_it = |entry: &&Committed| entry.payload == Payload::Normal(data.clone());
        self.apply_until(|event| match event {
            HostEvent::Committed(entries) => entries.iter().find(is_it).cloned(),
            HostEvent::Dropped(tokens) => panic!("dropped {tokens:?}"),
            _ => None,
        })
    }

    fn lead(&mut self) {
        self.apply_until(|event| match event {
            HostEvent::Committed(entries) => {
                entries.iter().any(|e| e.payload == Payload::Empty).then_some(())
            }
            _ => None,
        });
    }

    fn stop(&mut self) -> Vec<HostEvent> {
        self.node.take().expect("it is stopped once").stop();
        self.events.try_iter().collect()
    }

    fn state(&self) -> Applied {
        Applied { index: self.applied, conf_state: self.conf_state.clone() }
    }
}

#[test]
fn a_new_cluster_of_one_writes_reads_and_reports() {
    let mut member = Member::start(&new_log(), Applied::default());
    let leader = member.apply_until(|event| match event {
        HostEvent::Role(status) if status.role == Role::Leader => Some(status.clone()),
        _ => None,
    });
    assert_eq!((leader.leader, leader.term, leader.is_voter), (ME, 2, true));
    member.lead();
    assert_eq!(member.conf_state.voters, [1]);

    let entry = member.write(&"a".into());
    assert_eq!(entry.position, LogPosition::new(3, 2));
    member.handle.read_index(ReadToken(9)).unwrap();
    let read = member.apply_until(|event| match event {
        HostEvent::Read(token, index) => Some((*token, *index)),
        _ => None,
    });
    assert_eq!(read, (ReadToken(9), 3));
    let status = member.handle.status();
    assert_eq!((status.committed, status.applied, status.role), (3, 3, Role::Leader));

    member.handle.propose(2, "b".into()).unwrap();
    let report = member.apply_until(|event| match event {
        HostEvent::Persisted(report) => Some(*report),
        _ => None,
    });
    assert!(report.bytes > 0);
}

#[test]
fn a_restart_continues_where_the_state_is() {
    let dir = new_log();
    let mut member = Member::start(&dir, Applied::default());
    member.lead();
    let first = member.write(&"first".into());
    member.write(&"second".into());
    let state = Applied { index: first.position.index, conf_state: member.conf_state.clone() };
    member.stop();
    let mut member = Member::start(&dir, state);
    let again = member.apply_until(|event| match event {
        HostEvent::Committed(entries) => entries.first().cloned(),
        _ => None,
    });
    assert_eq!(again.payload, Payload::Normal("second".into()));
    assert_eq!(again.position.index, first.position.index + 1);
    assert!(member.write(&"third".into()).position.term > first.position.term);
}

#[test]
fn committed_entries_survive_a_power_cut() {
    let dir = new_log();
    let mut member = Member::start(&dir, Applied::default());
    member.lead();
    let written: Vec<Bytes> = (0..20).map(|n| format!("value {n}").into()).collect();
    for data in &written {
        member.write(data);
        let crashed = dir.crash();
        let (_, recovered) = open(&crashed);
        assert!(recovered.entries.iter().any(|entry| entry.data == data), "{data:?}");
    }
}

#[test]
fn stopping_syncs_accepted_proposals_and_drops_the_rest() {
    let dir = new_log();
    let mut member = Member::start(&dir, Applied::default());
    member.lead();
    let proposed: Vec<u64> = (0..500).collect();
    for token in &proposed {
        member.handle.propose(*token, token.to_be_bytes().to_vec().into()).unwrap();
    }
    let mut ends = Vec::new();
    for event in member.stop() {
        match event {
            HostEvent::Committed(entries) => {
                ends.extend(entries.iter().filter_map(|entry| match &entry.payload {
                    Payload::Normal(data) => Some(u64::from_be_bytes(data[..].try_into().unwrap())),
                    _ => None,
                }));
            }
            HostEvent::Dropped(tokens) => ends.extend(tokens),
            _ => {}
        }
    }
    ends.sort_unstable();
    assert_eq!(ends, proposed, "every proposal has one end");
    assert_eq!(member.handle.propose(1, "late".into()), Err(Rejected::Stopped));
    let (_, recovered) = open(&dir);
    assert_eq!(
        recovered.hard_state.commit,
        recovered.entries.last().unwrap().index,
        "the commit index is recorded"
    );
}

#[test]
fn a_failed_sync_is_final() {
    let dir = new_log();
    let mut member = Member::start(&dir, Applied::default());
    member.lead();
    dir.fail_next(Operation::SyncData);
    member.handle.propose(1, "never acknowledged".into()).unwrap();
    let text = member.apply_until(|event| match event {
        HostEvent::Failed(text) => Some(text.clone()),
        HostEvent::Committed(entries) => panic!("{entries:?}"),
        _ => None,
    });
    assert_eq!(text, "write the raft log");
    assert!(member.stop().is_empty(), "nothing is said after the failure");
    assert_eq!(member.handle.read_index(ReadToken(1)), Err(Rejected::Stopped));
    member.handle.applied(1);
}

#[test]
fn a_checkpoint_releases_segments_and_recovery_starts_from_it() {
    let dir = new_log();
    let mut member = Member::start(&dir, Applied::default());
    member.lead();
    let mut last = None;
    for _ in 0..20 {
        last = Some(member.write(&vec![b'x'; 1000].into()));
    }
    let last = last.unwrap().position;
    let n_segments = segments(&dir).len();
    let conf_state = Some(member.conf_state.clone());
    member.handle.checkpoint(SnapshotMark { index: last.index, term: last.term, conf_state }, 2);
    member.stop();
    assert!(n_segments > 3 && segments(&dir).len() == 2, "{n_segments} before, {:?}", segments(&dir));

    let crashed = dir.crash();
    assert_eq!(open(&crashed).1.snapshot.index, last.index);
    let behind = Applied { index: last.index - 1, ..member.state() };
    let (wal, recovered) = open(&crashed);
    let (sender, _events) = sync_channel(10);
    let rejected =
        Node::start(config(), wal, recovered, behind, Arc::new(NoPeers), Arc::new(EventSender(sender)));
    assert!(matches!(rejected, Err(Error::AppliedBeforeLog { .. })), "{rejected:?}");
    let mut member = Member::start(&crashed, member.state());
    assert_eq!(member.write(&"y".into()).position.index, last.index + 2);
}

fn segments(dir: &MemDir) -> Vec<String> {
    let names = ferretcd_wal::Dir::list(dir).unwrap();
    names.into_iter().filter(|name| name.ends_with(".wal")).collect()
}

#[test]
fn a_change_waits_until_the_one_before_is_applied() {
    let mut member = Member::start(&new_log(), Applied::default());
    member.lead();
    for node in 2..5 {
        let change = ConfChange {
            id: node,
            kind: ConfChangeKind::AddLearnerNode,
            node: MemberId(node),
            context: Bytes::new(),
        };
        member.handle.propose_conf_change(node, change.clone()).unwrap();
        member.apply_until(|event| match event {
            HostEvent::Committed(entries) => entries
                .iter()
                .any(|entry| matches!(&entry.payload, Payload::ConfChange { change: c } if *c == change))
                .then_some(()),
            HostEvent::Dropped(tokens) => panic!("dropped {tokens:?}"),
            _ => None,
        });
    }
    assert_eq!(member.conf_state.learners, [2, 3, 4]);
}

#[test]
fn a_bootstrap_writes_etcds_entries_in_the_order_of_ids() {
    let dir = MemDir::new();
    let mut wal = Wal::create_on(dir.clone(), Metadata::default(), wal_config()).unwrap();
    let id = 6_898_171_603_489_705_232;
    let json = Bytes::from_static(
        br#"{"id":6898171603489705232,"peerURLs":["http://127.0.0.1:34380"],"name":"m1"}"#,
    );
    bootstrap(&mut wal, &[(MemberId(id), json.clone()), (MemberId(1), Bytes::new())]).unwrap();
    let (_, recovered) = open(&dir.crash());
    assert_eq!(
        (recovered.hard_state.term, recovered.hard_state.vote, recovered.hard_state.commit),
        (1, 0, 2)
    );
    assert_eq!(recovered.entries[0].data, [8, 0, 0x10, 0, 0x18, 1][..]);
    let mut expected =
        vec![8, 0, 0x10, 0, 0x18, 0x90, 0x9a, 0xc3, 0xcd, 0xe7, 0xd0, 0xce, 0xdd, 0x5f, 0x22, 0x4c];
    expected.extend_from_slice(&json);
    assert_eq!(recovered.entries[1].data, expected);
    assert_eq!(
        recovered.entries.iter().map(|entry| (entry.index, entry.term)).collect::<Vec<_>>(),
        [(1, 1), (2, 1)]
    );
}

#[test]
fn only_a_sole_voter_knows_the_read_index_without_a_request() {
    let dir = new_log();
    let mut member = Member::start(&dir, Applied::default());
    member.lead();
    let written = member.write(&"a".into());
    assert_eq!(member.handle.read_index_as_sole_voter(), Some(written.position.index));

    let change =
        ConfChange { id: 1, kind: ConfChangeKind::AddNode, node: MemberId(2), context: "two".into() };
    member.handle.propose_conf_change(2, change).unwrap();
    member.apply_until(|event| match event {
        HostEvent::Committed(entries) => {
            entries.iter().any(|e| matches!(e.payload, Payload::ConfChange { .. })).then_some(())
        }
        _ => None,
    });
    let deadline = Instant::now() + PATIENCE;
    while member.handle.read_index_as_sole_voter().is_some() {
        assert!(Instant::now() < deadline, "another member has a vote");
        std::thread::yield_now();
    }

    let mut member = Member::start(&new_log(), Applied::default());
    member.lead();
    member.stop();
    assert_eq!(member.handle.read_index_as_sole_voter(), None, "a stopped node knows nothing");
}

/// The progress of member 2 as the leader knows it now, or `None` if the leader has ended.
fn progress_of_the_second(handle: &NodeHandle) -> Option<u64> {
    let (reply, progress) = sync_channel(1);
    handle.progress(move |progress| reply.send(progress).expect("the test receives")).ok()?;
    let progress: Vec<Progress> = progress.recv_timeout(PATIENCE).ok()?;
    progress.iter().find(|it| it.id == MemberId(2)).map(|it| it.matched)
}

#[test]
fn progress_shows_what_was_acknowledged_before_the_request() {
    // No tick comes while the test runs.
    let config = Config { heartbeat: Duration::from_secs(3600), ..config() };
    let mut member = Member::start_with(&new_log(), Applied::default(), config);
    member.lead();
    let change =
        ConfChange { id: 1, kind: ConfChangeKind::AddLearnerNode, node: MemberId(2), context: "two".into() };
    member.handle.propose_conf_change(2, change).unwrap();
    let last = member.write(&"a".into()).position.index;
    assert_eq!(progress_of_the_second(&member.handle), Some(0));
    for index in [last - 1, last] {
        let message = raftpb::Message {
            r#type: Some(MessageType::MsgAppResp.into()),
            to: Some(1),
            from: Some(2),
            term: Some(2),
            index: Some(index),
            ..raftpb::Message::default()
        };
        member.handle.receive(Message::try_from(message).unwrap()).unwrap();
        assert_eq!(progress_of_the_second(&member.handle), Some(index));
    }
    member.stop();
    assert_eq!(progress_of_the_second(&member.handle), None, "a stopped node does not respond");
}

#[test]
fn a_member_that_applies_nothing_does_not_hold_the_node_up() {
    let mut member =
        Member::start_with(&new_log(), Applied::default(), Config { unapplied_max: 3, ..config() });
    member.lead();
    for token in 0..100 {
        member.handle.propose(token, "x".into()).unwrap();
    }
    // Everything gets durable and is committed, reads are confirmed, but no more than three entries are handed out.
    let deadline = Instant::now() + PATIENCE;
    while member.handle.status().committed < 102 {
        assert!(Instant::now() < deadline, "{:?}", member.handle.status());
        std::thread::yield_now();
    }
    member.handle.read_index(ReadToken(9)).unwrap();
    let mut given = Vec::new();
    loop {
        match member.events.recv_timeout(PATIENCE).expect("the read is confirmed") {
            HostEvent::Committed(entries) => {
                given.extend(entries.into_iter().map(|entry| entry.position.index));
            }
            HostEvent::Read(token, index) => break assert_eq!((token, index), (ReadToken(9), 102)),
            _ => {}
        }
    }
    assert_eq!(given, [3, 4, 5]);
    // Then it goes on.
    while given.last() != Some(&102) {
        member.handle.applied(*given.last().unwrap());
        if let HostEvent::Committed(entries) = member.events.recv_timeout(PATIENCE).expect("there are more") {
            given.extend(entries.into_iter().map(|entry| entry.position.index));
        }
    }
    assert_eq!(given, (3..=102).collect::<Vec<_>>());
}

/// A message from member 2, which leads in term 3.
fn from_leader(kind: MessageType, message: raftpb::Message) -> Message {
    let message =
        raftpb::Message { r#type: Some(kind.into()), from: Some(2), to: Some(1), term: Some(3), ..message };
    Message::try_from(message).unwrap()
}

#[test]
fn a_received_snapshot_is_installed_when_the_log_begins_behind_it() {
    let dir = new_log();
    let mut member =
        Member::start_with(&dir, Applied::default(), Config { advance_ticks: false, ..config() });
    member.apply_until(|event| matches!(event, HostEvent::Committed(_)).then_some(()));
    let conf_state = raftpb::ConfState { voters: vec![1, 2], ..raftpb::ConfState::default() };
    let metadata = raftpb::SnapshotMetadata { conf_state: Some(conf_state), index: Some(40), term: Some(2) };
    let snapshot = raftpb::Snapshot { data: None, metadata: Some(metadata) };
    let snapshot = raftpb::Message { snapshot: Some(snapshot), ..raftpb::Message::default() };
    member.handle.receive(from_leader(MessageType::MsgSnap, snapshot)).unwrap();
    let mark = member.apply_until(|event| match event {
        HostEvent::Install(mark) => Some(mark.clone()),
        _ => None,
    });
    assert_eq!((mark.index, mark.term), (40, 2));
    // A power cut here leaves a log that waits for the state.
    let (_, recovered) = open(&dir.crash());
    assert_eq!((&recovered.snapshot, recovered.entries.len()), (&mark, 0));
    assert_eq!(recovered.hard_state, HardState { term: 3, vote: 0, commit: 40 });

    // A checkpoint of the state before comes too late, and requests are rejected.
    let old = SnapshotMark { index: 1, term: 1, conf_state: mark.conf_state };
    member.handle.checkpoint(old, 1);
    member.handle.propose(7, "x".into()).unwrap();
    member.apply_until(|event| matches!(event, HostEvent::Dropped(tokens) if *tokens == [7]).then_some(()));

    member.applied = 40;
    member.handle.installed(40);
    let entry =
        raftpb::Entry { index: Some(41), term: Some(3), data: Some("behind".into()), ..Default::default() };
    let append = raftpb::Message {
        index: Some(40),
        log_term: Some(2),
        commit: Some(41),
        entries: vec![entry],
        ..raftpb::Message::default()
    };
    let append = from_leader(MessageType::MsgApp, append);
    // It may come before the node knows of the installation, and is sent again as raft does.
    let committed = loop {
        member.handle.receive(append.clone()).unwrap();
        match member.events.recv_timeout(Duration::from_millis(20)) {
            Ok(HostEvent::Committed(entries)) => break entries,
            Ok(HostEvent::Failed(text)) => panic!("{text}"),
            _ => {}
        }
    };
    assert_eq!((committed[0].position.index, &committed[0].payload), (41, &Payload::Normal("behind".into())));
    assert_eq!(member.handle.status().applied, 40);
    member.stop();
    let (_, recovered) = open(&dir.crash());
    assert_eq!((recovered.snapshot.index, recovered.entries.len()), (40, 1));
}

/// Keeps what is sent.
#[derive(Default)]
struct SentMessages(Mutex<Vec<Message>>);

impl Transport for SentMessages {
    fn send(&self, messages: Vec<Message>) {
        self.0.lock().unwrap().extend(messages);
    }
}

#[test]
fn a_follower_requests_a_read_index_on_the_callers_thread() {
    let sent = Arc::new(SentMessages::default());
    let config = Config { advance_ticks: false, heartbeat: PATIENCE, ..config() };
    let mut member = Member::start_among(&new_log(), Applied::default(), config, sent.clone());
    member.handle.receive(from_leader(MessageType::MsgHeartbeat, raftpb::Message::default())).unwrap();
    member.apply_until(|event| {
        matches!(event, HostEvent::Role(status) if status.leader == MemberId(2)).then_some(())
    });
    sent.0.lock().unwrap().clear();
    member.handle.read_index(ReadToken(9)).unwrap();
    let request = sent.0.lock().unwrap().pop().expect("the request has left");
    assert_eq!((request.kind(), request.to()), ("MsgReadIndex", MemberId(2)));

    let request: raftpb::Message = request.into();
    let response = |index| raftpb::Message {
        index: Some(index),
        entries: request.entries.clone(),
        ..Default::default()
    };
    member.handle.receive(from_leader(MessageType::MsgReadIndexResp, response(1))).unwrap();
    let events: Vec<_> = member.events.try_iter().collect();
    assert!(events.iter().any(|event| matches!(event, HostEvent::Read(ReadToken(9), 1))), "{events:?}");

    member.stop();
    assert_eq!(member.handle.read_index(ReadToken(10)), Err(Rejected::Stopped));
    assert_eq!(sent.0.lock().unwrap().len(), 0);
}
