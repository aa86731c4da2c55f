//! Three members in one process whose messages travel through function calls: proposes a few values at the
//! leader and prints what each member applies.
//!
//! `cargo run -p ferretcd-raft-node --example three_nodes`

use std::io::Write;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use ferretcd_base::{LogPosition, MemberId};
use ferretcd_raft_node::*;
use ferretcd_wal::{MemDir, Metadata, SnapshotMark, Wal};

const IDS: [MemberId; 3] = [MemberId(1), MemberId(2), MemberId(3)];

/// All members' handles, once all have started.
type Handles = Arc<OnceLock<Vec<NodeHandle>>>;

struct Network(Handles);

impl Transport for Network {
    fn send(&self, messages: Vec<Message>) {
        let Some(handles) = self.0.get() else { return };
        for message in messages {
            // Rejected messages are lost, as on any network.
            let _ = handles[message.to().0 as usize - 1].receive(message);
        }
    }
}

/// A member whose state is what it has sent to its channel.
struct Member(MemberId, SyncSender<(MemberId, Vec<Committed>)>);

impl Host for Member {
    fn committed(&self, entries: Vec<Committed>) {
        // The main thread stops listening when it has seen enough.
        let _ = self.1.send((self.0, entries));
    }
    fn install(&self, _mark: SnapshotMark) {}
    fn read_ready(&self, _token: ReadToken, _index: u64) {}
    fn proposals_dropped(&self, _tokens: Vec<u64>) {}
    fn role_changed(&self, _status: &Status) {}
    fn persisted(&self, _report: &Persisted) {}
    fn failed(&self, _error: &Error) {}
}

fn start(id: MemberId, handles: &Handles, host: Member) -> Result<Node, Error> {
    let disk = ferretcd_wal::Config { segment_bytes: 1 << 20, unsafe_no_fsync: false };
    let dir = MemDir::new();
    let mut log = Wal::create_on(dir.clone(), Metadata { node_id: id.0, cluster_id: 1 }, disk)?;
    bootstrap(&mut log, &IDS.map(|member| (member, Bytes::new())))?;
    drop(log);
    let (log, recovered) = Wal::open_on(dir, disk)?;
    let config = Config {
        id,
        heartbeat: Duration::from_millis(20),
        election_ticks: 10,
        pre_vote: true,
        check_quorum: true,
        max_size_per_msg: 1 << 20,
        max_inflight_msgs: 256,
        catchup_entries: 5000,
        catchup_bytes: 64 << 20,
        unapplied_max: 5000,
        inbox: 4096,
        proposal_ticks: 50,
        advance_ticks: true,
    };
    let transport = Arc::new(Network(handles.clone()));
    Node::start(config, log, recovered, Applied::default(), transport, Arc::new(host))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, applied) = sync_channel(1000);
    let handles = Handles::default();
    let start = |id| start(id, &handles, Member(id, sender.clone()));
    let nodes = IDS.into_iter().map(start).collect::<Result<Vec<_>, _>>()?;
    let all: &[NodeHandle] = handles.get_or_init(|| nodes.iter().map(Node::handle).collect());

    let mut out = std::io::stdout().lock();
    let mut n_seen = 0;
    while n_seen < 3 * IDS.len() {
        let (member, entries) = applied.recv()?;
        let handle = &all[member.0 as usize - 1];
        for Committed { position: LogPosition { index, term }, payload } in entries {
            writeln!(out, "member {member} applies {index} of term {term}: {payload:?}")?;
            n_seen += usize::from(matches!(payload, Payload::Normal(_)));
            let leads = handle.status().role == Role::Leader;
            if payload == Payload::Empty && leads {
                for (token, value) in ["one", "two", "three"].into_iter().enumerate() {
                    handle.propose(token as u64, value.into())?;
                }
            }
            if let Payload::ConfChange { change } = payload {
                handle.configure(index, Some(change));
            }
            handle.applied(index);
        }
    }
    Ok(())
}
