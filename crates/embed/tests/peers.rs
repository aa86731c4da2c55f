//! Members that hear each other whatever clients do.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb::PutRequest;
use ferretcd_api_proto::etcdserverpb::kv_client::KvClient;
use ferretcd_base::MemberId;
use ferretcd_embed::{Config, Server, Url};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Channel;

const N_WORKERS: usize = 2;
/// Long enough for any machine; reached only by members that hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A member with a runtime of its own.
struct Member {
    runtime: Runtime,
    server: Server,
    _dir: TempDir,
}

/// Founds a cluster of three.
fn found() -> Vec<Member> {
    // Held until all are known, so that they differ.
    let ports = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    let urls = ports.each_ref().map(|port| {
        let url = format!("http://{}", port.local_addr().expect("it is bound"));
        vec![Url::parse(&url).expect("a URL")]
    });
    drop(ports);
    let initial_cluster = urls.iter().enumerate().map(|(i, urls)| (format!("m{i}"), urls.clone()));
    let members = urls.iter().enumerate().map(|(i, urls)| {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = Config::standalone(dir.path());
        config.name = format!("m{i}");
        config.cluster.initial_cluster = initial_cluster.clone().collect();
        config.listen.peer.clone_from(urls);
        config.advertise.peer.clone_from(urls);
        let runtime = Builder::new_multi_thread().worker_threads(N_WORKERS).enable_all().build();
        let runtime = runtime.expect("the system has threads");
        let server = runtime.block_on(Server::builder(config).start()).expect("the ports are free");
        Member { runtime, server, _dir: dir }
    });
    let members: Vec<_> = members.collect();
    for member in &members {
        member.runtime.block_on(member.server.ready()).expect("there is a leader");
    }
    members
}

impl Member {
    /// Occupies all workers of the runtime until the returned sender is dropped.
    fn occupy(&self) -> mpsc::SyncSender<()> {
        let (release, released) = mpsc::sync_channel::<()>(1);
        let released = Arc::new(Mutex::new(released));
        let (begun, is_begun) = mpsc::sync_channel(N_WORKERS);
        for _ in 0..N_WORKERS {
            let (released, begun) = (Arc::clone(&released), begun.clone());
            self.runtime.spawn(async move {
                begun.send(()).expect("the test waits");
                // One waits for the end of the sender, the other for the lock.
                let _ = released.lock().expect("no holder panics").recv();
            });
        }
        for _ in 0..N_WORKERS {
            is_begun.recv_timeout(PATIENCE).expect("a worker is free");
        }
        release
    }

    fn leader_and_term(&self) -> (Option<MemberId>, u64) {
        let status = self.server.engine().member().status();
        (status.leader, status.term)
    }

    fn revision(&self) -> i64 {
        self.server.engine().member().revision()
    }
}

/// Raft goes on while clients occupy every worker of the leader and of one follower.
#[test]
fn members_whose_workers_are_occupied_keep_their_leader() {
    let mut members = found();
    let before = members[0].leader_and_term();
    let leader = members.iter().position(|member| Some(member.server.engine().member().id()) == before.0);
    let leader = members.remove(leader.expect("it is one of them"));
    let [follower, other] = <[Member; 2]>::try_from(members).ok().expect("two are left");
    let occupied = [&leader, &follower].map(Member::occupy);

    let mut kv = other.runtime.block_on(async {
        let url = other.server.client_urls()[0].to_string();
        KvClient::new(Channel::from_shared(url).expect("a URL").connect().await.expect("the port is bound"))
    });
    let election_timeout = Config::default().raft.election_timeout;
    let begun = Instant::now();
    while begun.elapsed() < 3 * election_timeout {
        let put = PutRequest { key: "a".into(), ..PutRequest::default() };
        other.runtime.block_on(kv.put(put)).expect("the leader and this member are a quorum");
    }
    let all = [leader, follower, other];
    let revision = all[2].revision();
    while all.iter().any(|member| member.revision() < revision) {
        assert!(begun.elapsed() < PATIENCE, "an occupied member does not get the entries");
        std::thread::yield_now();
    }
    for member in &all {
        assert_eq!(member.leader_and_term(), before);
    }
    drop(occupied);
    for Member { runtime, server, .. } in all {
        runtime.block_on(server.abort());
    }
}
