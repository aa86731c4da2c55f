//! Members that reach each other at paths.

use ferretcd_api_proto::etcdserverpb::MemberAddRequest;
use ferretcd_client::{Client, Config};
use ferretcd_testkit::certificates::Authority;
use ferretcd_tests::{Ferretcd, Program};

use crate::member::{Home, Member, has_etcdctl, is_socket};

/// Has a member be added as soon as the last one is back, not five seconds later, and get a whole snapshot.
const GROWING: [&str; 3] =
    ["--strict-reconfig-check=false", "--snapshot-count=5", "--snapshot-catchup-entries=1"];

/// Three members and their URLs for peers.
struct Cluster {
    home: Home,
    peers: Vec<String>,
    /// Of every member.
    flags: Vec<String>,
}

impl Cluster {
    fn new(peers: impl Fn(&Home, usize) -> String, flags: &[String]) -> Self {
        let home = Home::new();
        let peers = (1..=4).map(|number| peers(&home, number)).collect();
        Self { home, peers, flags: flags.to_vec() }
    }

    fn client(&self, number: usize) -> String {
        self.home.url("unix", &format!("c{number}"))
    }

    /// The flags of one of the first `n` members.
    fn flags(&self, number: usize, n: usize, state: &str) -> Vec<String> {
        let (client, peer) = (self.client(number), &self.peers[number - 1]);
        let all: Vec<_> = (1..=n).map(|number| format!("m{number}={}", self.peers[number - 1])).collect();
        let mut flags = vec![
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster={}", all.join(",")),
            format!("--initial-cluster-state={state}"),
        ];
        flags.extend(self.flags.iter().cloned());
        flags
    }

    async fn member<P: Program>(&self, number: usize, n: usize, state: &str) -> Member {
        self.home.start::<P>(&format!("m{number}"), &self.flags(number, n, state)).await
    }

    /// Starts the founders, and waits until all serve.
    async fn start<P: Program>(&self) -> Vec<Member> {
        let mut members = Vec::new();
        for number in 1..=3 {
            members.push(self.member::<P>(number, 3, "new").await);
        }
        for member in &mut members {
            member.says("ready to serve client requests").await;
        }
        members
    }

    async fn etcdctl(&self, number: usize, words: &[&str]) -> String {
        self.home.etcdctl(&[&["--endpoints", &*self.client(number)], words].concat()).await
    }

    /// What is written through one member is read through every one.
    async fn check(&self, value: &str, numbers: &[usize]) {
        for number in numbers {
            assert_eq!(self.etcdctl(*number, &["put", "k", value]).await, "OK");
        }
        for number in numbers {
            assert_eq!(self.etcdctl(*number, &["get", "k", "--print-value-only"]).await, value);
        }
    }

    async fn is_leader(&self, number: usize) -> bool {
        // Endpoint, id, version, size, and whether it is the leader.
        self.etcdctl(number, &["endpoint", "status"]).await.split(", ").nth(4) == Some("true")
    }
}

/// A cluster loses a follower and gets it back.
async fn loses_one<P: Program>(cluster: &Cluster) -> Vec<Member> {
    let mut members = cluster.start::<P>().await;
    cluster.check("all", &[1, 2, 3]).await;
    let lost = if cluster.is_leader(1).await { 2 } else { 1 };
    members.remove(lost - 1).kill9().await;
    cluster.check("two", &[3 - lost, 3]).await;
    let mut member = cluster.member::<P>(lost, 3, "new").await;
    member.says("ready to serve client requests").await;
    cluster.check("again", &[1, 2, 3]).await;
    members.push(member);
    members
}

/// The one form that etcd has for peers: a host and a port that are a file of the working directory.
pub(crate) async fn in_the_working_directory<P: Program>() {
    if !has_etcdctl().await {
        return;
    }
    let cluster = Cluster::new(|_, number| format!("unix://m{number}:1"), &[]);
    for member in loses_one::<P>(&cluster).await {
        member.stop().await;
    }
    assert!(!cluster.home.path("m1:1").exists());
}

/// The fourth member fetches the others' versions and members, and gets a whole snapshot.
async fn grows(cluster: &Cluster) {
    let members = loses_one::<Ferretcd>(cluster).await;
    // etcdctl 3.4 takes no `unixs://` here.
    let client = Client::new(Config::new([cluster.client(1)])).expect("an endpoint");
    let request =
        MemberAddRequest { peer_urls: vec![cluster.peers[3].clone()], ..MemberAddRequest::default() };
    client.call(request).await.expect("all members are there");
    let mut joined = cluster.member::<Ferretcd>(4, 4, "existing").await;
    joined.says("applied snapshot").await;
    joined.says("ready to serve client requests").await;
    cluster.check("four", &[1, 2, 3, 4]).await;
    assert_eq!(cluster.etcdctl(4, &["member", "list"]).await.matches("started").count(), 4);
    for member in members.into_iter().chain([joined]) {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_talk_at_absolute_paths() {
    if !has_etcdctl().await {
        return;
    }
    let cluster =
        Cluster::new(|home, number| home.url("unix", &format!("p{number}")), &GROWING.map(str::to_owned));
    grows(&cluster).await;
    assert!(!is_socket(&cluster.home.path("p4")));
}

/// Each proves the name of its file, and that it belongs to the cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_talk_with_tls() {
    if !has_etcdctl().await {
        return;
    }
    let authority = Authority::new();
    let files = authority.sign("member", &["p1.sock", "p2.sock", "p3.sock", "p4.sock"], 1);
    let flags = [
        &files.peer_flags()[..],
        &authority.peer_trusted(),
        &["--peer-client-cert-auth".to_owned()],
        &GROWING.map(str::to_owned),
    ]
    .concat();
    let cluster = Cluster::new(|home, number| home.url("unixs", &format!("p{number}.sock")), &flags);
    grows(&cluster).await;
}
