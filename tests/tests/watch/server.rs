//! A server, and requests of all cases.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Clients, Cluster, Options, report};

/// Starts a server with these flags; none if the target is not available, which is reported.
pub(crate) async fn start<C: Cluster>(what: &str, flags: &[&str]) -> Option<C> {
    if !report::available::<C>(what) {
        return None;
    }
    let options = Options { flags: flags.iter().map(|&flag| flag.to_owned()).collect() };
    Some(C::start(&options).await.unwrap_or_else(|error| panic!("failed to {error}")))
}

pub(crate) async fn connect(cluster: &impl Cluster) -> Clients {
    let connected = Clients::connect(cluster).await;
    connected.unwrap_or_else(|error| panic!("failed to connect: {error}\n{}", cluster.logs()))
}

pub(crate) async fn connect_narrow(cluster: &impl Cluster, calls: u32) -> Clients {
    let connected = Clients::connect_narrow(cluster, calls).await;
    connected.unwrap_or_else(|error| panic!("failed to connect: {error}\n{}", cluster.logs()))
}

/// Puts a row and returns its revision.
pub(crate) async fn put(clients: &mut Clients, key: &str, value: impl Into<Bytes>) -> i64 {
    let put = pb::PutRequest { key: key.to_owned().into(), value: value.into(), ..Default::default() };
    let response = clients.kv.put(put).await.expect("puts succeed").into_inner();
    response.header.expect("a put has a header").revision
}

/// A request to watch everything with this prefix, which ends in a letter.
pub(crate) fn prefix(prefix: &str) -> pb::WatchCreateRequest {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().expect("a prefix has a letter") += 1;
    pb::WatchCreateRequest { key: prefix.to_owned().into(), range_end: end.into(), ..Default::default() }
}
