//! Discovery through a registry.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthUserAddRequest, AuthUserGrantRoleRequest, PutRequest,
    RangeRequest,
};
use ferretcd_client::{Client, Config};
use ferretcd_tests::{Clients, Cluster, Etcd37, Ferretcd, Killable, Options, Process, Program, report};
use rustix::process::Signal;

use crate::founder::{Founder, WITHIN, come_together, locate};

const TOKEN: &str = "token";

/// A registry for so many founders.
async fn registry<P: Program>(size: &str) -> Process<P> {
    let registry = start::<P>().await;
    put_size(&registry.endpoint(), size).await;
    registry
}

async fn start<P: Program>() -> Process<P> {
    Process::<P>::start(&Options::default()).await.unwrap_or_else(|error| panic!("failed to {error}"))
}

async fn put_size(url: &str, size: &str) {
    let key = format!("/_etcd/registry/{TOKEN}/_config/size").into();
    let request = PutRequest { key, value: size.to_owned().into(), ..PutRequest::default() };
    Clients::lazy(url, WITHIN).kv.put(request).await.expect("it can be put");
}

fn flags(endpoint: &str) -> Vec<String> {
    vec![format!("--discovery-endpoints={endpoint}"), format!("--discovery-token={TOKEN}")]
}

pub(crate) async fn registered<P: Program>() {
    let mut registry = registry::<P>("3").await;
    let executable = locate::<P>().await;
    let mut founders = ["a", "b", "c"].map(|name| Founder::new(name, &executable));
    let flags = flags(&registry.endpoint());
    let last = founders.len() - 1;
    for (number, founder) in founders.iter_mut().enumerate() {
        founder.spawn(&flags);
        if number < last {
            founder.says("waiting for peers from discovery service").await;
        }
    }
    let members = come_together(&founders).await;
    for member in &members {
        let key = format!("/_etcd/registry/{TOKEN}/members/{:x}", member.id);
        let request = RangeRequest { key: key.clone().into(), ..RangeRequest::default() };
        let rows = Clients::lazy(&registry.endpoint(), WITHIN).kv.range(request).await.expect("it responses");
        let row = rows.into_inner().kvs[0].decode().expect("it is a row");
        assert_eq!(row.value, format!("{}={}", member.name, member.peer_urls[0]), "{key}");
    }
    let put = PutRequest { key: "k".into(), value: "v".into(), ..PutRequest::default() };
    founders[0].clients().kv.put(put).await.expect("it can be put");
    for line in ["found all needed peers from discovery service", "discovery joined cluster successfully"] {
        assert!(founders[0].log().contains(line), "{line}");
    }

    let mut late = Founder::new("late", &executable);
    late.spawn(&flags);
    let log = late.fails_to_start().await;
    assert!(log.contains("failed to join discovery cluster (discovery: cluster is full)"), "{log}");
    assert!(log.contains("do not reuse discovery token"), "{log}");

    // A member with a log needs no registry.
    registry.kill9().await.expect("it dies");
    founders[1].terminate();
    founders[1].exited().await;
    founders[1].spawn(&flags);
    let members_again = come_together(&founders).await;
    assert_eq!(members_again.len(), members.len());
    let request = RangeRequest { key: "k".into(), ..RangeRequest::default() };
    let response = founders[1].clients().kv.range(request).await.expect("it responses").into_inner();
    assert_eq!(response.count, 1);

    // A founder that has lost its data could vote twice in one term. etcd lets it join.
    if !P::KIND.reference {
        registry.restart().await.unwrap_or_else(|error| panic!("failed to {error}"));
        founders[2].terminate();
        founders[2].exited().await;
        founders[2].wipe();
        founders[2].spawn(&flags);
        let log = founders[2].fails_to_start().await;
        assert!(log.contains("has already been bootstrapped"), "{log}");
    }
}

pub(crate) async fn registry_errors<P: Program>() {
    let registry = start::<P>().await;
    let executable = locate::<P>().await;
    let check = async |size: Option<&str>, expected: &str| {
        if let Some(size) = size {
            put_size(&registry.endpoint(), size).await;
        }
        let mut founder = Founder::new("a", &executable);
        founder.spawn(&flags(&registry.endpoint()));
        let log = founder.fails_to_start().await;
        assert!(log.contains(&format!("failed to join discovery cluster ({expected})")), "{expected}: {log}");
    };
    check(None, "discovery: size key not found").await;
    check(Some("three"), "discovery: size key is bad").await;
    check(Some("0"), "discovery: size key is bad").await;
    let mut founder = Founder::new("a", &executable);
    founder.spawn(
        &[&flags(&registry.endpoint())[..], &["--initial-cluster-state=existing".to_owned()]].concat(),
    );
    let log = founder.fails_to_start().await;
    assert!(log.contains("discovery URL should not be set when joining existing initial cluster"), "{log}");
}

/// The registry is a real etcd, which has authentication.
pub(crate) async fn authenticated<P: Program>() {
    if !report::available::<Process<Etcd37>>("a registry with users") {
        return;
    }
    let registry = registry::<Etcd37>("1").await;
    let client = Client::new(Config::new([registry.endpoint()])).expect("it is a URL");
    let (name, role) = ("root".to_owned(), "root".to_owned());
    let user = AuthUserAddRequest { name, password: "secret".to_owned(), ..Default::default() };
    client.call(user).await.expect("there is a user");
    client.call(AuthRoleAddRequest { name: role.clone() }).await.expect("a role");
    let grant = AuthUserGrantRoleRequest { user: "root".to_owned(), role };
    client.call(grant).await.expect("the user has it");
    client.call(AuthEnableRequest {}).await.expect("it is on");

    let executable = locate::<P>().await;
    let start = |more: &[&str]| {
        let mut founder = Founder::new("a", &executable);
        let more = more.iter().map(|flag| (*flag).to_owned());
        founder.spawn(&flags(&registry.endpoint()).into_iter().chain(more).collect::<Vec<_>>());
        founder
    };
    let log = start(&["--discovery-user=root", "--discovery-password=secret1"]).fails_to_start().await;
    assert!(log.contains("authentication failed"), "{log}");
    let founders = [start(&["--discovery-user=root", "--discovery-password=secret"])];
    come_together(&founders).await;
    if !P::KIND.reference {
        assert!(!log.contains("secret") && !founders[0].log().contains("secret"), "{log}");
    }
}

pub(crate) async fn encrypted<P: Program>() {
    let executable = locate::<P>().await;
    let mut registry = Founder::new("r", &executable);
    let plain = format!("http://{}:2377", registry.address);
    let url = format!("https://{}:2379", registry.address);
    registry.spawn(&[
        format!("--initial-cluster=r=http://{}:2380", registry.address),
        format!("--listen-client-urls={url},{plain}"),
        format!("--advertise-client-urls={url}"),
        "--auto-tls".to_owned(),
    ]);
    registry.says("ready to serve client requests").await;
    put_size(&plain, "1").await;

    let certificate = registry.dir().join("data/fixtures/client/cert.pem");
    let mut founders = [Founder::new("a", &executable)];
    let trust = if P::KIND.reference {
        "--discovery-insecure-skip-tls-verify".to_owned()
    } else {
        format!("--discovery-cacert={}", certificate.display())
    };
    founders[0].spawn(&[&flags(&url)[..], &[trust]].concat());
    come_together(&founders).await;
    if P::KIND.reference {
        return;
    }
    let mut late = Founder::new("b", &executable);
    late.spawn(&flags(&url));
    late.says("retry connecting to discovery service").await;
    assert!(!late.log().contains("register member itself successfully"));
}

pub(crate) async fn terminated<P: Program>() {
    let registry = registry::<P>("2").await;
    let mut founder = Founder::new("a", &locate::<P>().await);
    founder.spawn(&flags(&registry.endpoint()));
    founder.says("waiting for peers from discovery service").await;
    founder.terminate();
    assert_eq!(founder.exited().await.signal(), Some(Signal::TERM.as_raw()), "{}", founder.log());
}

/// Founders of both kinds in one cluster, with either kind of registry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn founders_may_be_of_both_kinds() {
    if !report::available::<Process<Etcd37>>("founders of both kinds") {
        return;
    }
    let registry = registry::<Ferretcd>("3").await;
    let (own, other) = (locate::<Ferretcd>().await, locate::<Etcd37>().await);
    let mut founders = [Founder::new("a", &own), Founder::new("b", &other), Founder::new("c", &own)];
    for founder in &mut founders {
        // No server listens at the first endpoint.
        founder.spawn(&flags(&format!("127.0.0.1:1,{}", registry.endpoint())));
    }
    come_together(&founders).await;
    tokio::time::timeout(Duration::from_secs(20), async {
        let put = PutRequest { key: "k".into(), value: "v".into(), ..PutRequest::default() };
        founders[1].clients().kv.put(put).await.expect("it can be put");
        let request = RangeRequest { key: "k".into(), ..RangeRequest::default() };
        assert_eq!(
            founders[2].clients().kv.range(request).await.expect("it responses").into_inner().count,
            1
        );
    })
    .await
    .expect("they respond");
}
