//! The language of gRPC requests.
//!
//! | request | options |
//! |---|---|
//! | `put KEY VALUE` | `lease=N prev_kv ignore_value ignore_lease` |
//! | `range RANGE`, `stream RANGE` | `limit=N rev=R order=O by=T serializable keys_only count_only min_mod=R max_mod=R min_create=R max_create=R`; O is `none asc desc` or a number, T is `key version create mod value` or a number; `brief` shortens the rows shown |
//! | `delete RANGE` | `prev_kv` |
//! | `txn` and lines `if TARGET(RANGE) OP OPERAND`, `then REQUEST`, `else REQUEST` | TARGET and OP may be numbers; OPERAND may name another union member (`version:3`) or be `none`; `then nothing` is an operation without a request; `9x then ..` repeats; deeper lines belong to a nested `txn` |
//! | `compact R` | `physical` |
//! | `fill PREFIX N` | `size=N` value bytes; puts `PREFIX0000`.. |
//! | `hashkv R`, `hash`, `status`, `alarms` | |
//! | `alarm N`, `disarm N` | raises or clears an alarm of this member by number |
//! | `grant ID` | `ttl=N`; with ID 0 the server assigns one, which isn't shown |
//! | `revoke ID`, `attached ID`, `left ID`, `leases` | `left` shows whether about all of the TTL is left |
//! | `keepalive ID ID ..` | one after the other on one stream, which is then half closed |
//! | `restart`, `kill9` | `kill9` kills the server, then starts it again; only in a [`KillSession`] |
//!
//! Words are written as in [`words`](super::words). Options of all requests: `meta:NAME=VALUE` adds metadata.

mod lease;
mod request;
mod response;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb as pb;
use tonic::metadata::{MetadataKey, MetadataValue};
use tonic::{Request, Status};

pub(super) use self::response::Shown;
use super::run::Session;
use super::words::{self, number};
use crate::{Clients, Cluster, Killable};

/// Performs requests over gRPC and shows responses with revisions relative to the start of the case.
#[derive(Debug)]
pub struct KvSession {
    pub(super) clients: Clients,
    pub(super) shown: Shown,
}

impl<C: Cluster> Session<C> for KvSession {
    const FRESH: bool = false;

    async fn open(cluster: &C) -> Self {
        let mut clients = connect(cluster).await;
        let leases = clients.lease.lease_leases(pb::LeaseLeasesRequest {}).await;
        for lease in leases.expect("leases can be listed").into_inner().leases {
            let revoke = pb::LeaseRevokeRequest { id: lease.id };
            clients.lease.lease_revoke(revoke).await.expect("no other client ends leases");
        }
        let zero = Bytes::from_static(&[0]);
        let all = pb::DeleteRangeRequest { key: zero.clone(), range_end: zero, prev_kv: false };
        let wiped = clients.kv.delete_range(all).await.expect("deleting everything is always allowed");
        let header = wiped.into_inner().header.expect("every KV response has a header");
        Self { clients, shown: Shown::new(&header) }
    }

    async fn execute(&mut self, cluster: &mut C, request: &[String]) -> Vec<String> {
        match self.perform(cluster, request).await {
            Ok(lines) => lines,
            Err(status) => vec![format!("error {:?}: {}", status.code(), status.message())],
        }
    }

    fn failed(response: &[String]) -> bool {
        response.iter().any(|line| line.starts_with("error "))
    }
}

impl KvSession {
    async fn perform<C: Cluster>(
        &mut self,
        cluster: &mut C,
        lines: &[String],
    ) -> Result<Vec<String>, Status> {
        let words = words::words(&lines[0]);
        let (verb, words) = words.split_first().expect("a request has a verb");
        let (metadata, words): (Vec<&str>, Vec<&str>) =
            words.iter().copied().partition(|word| word.starts_with("meta:"));
        let base = self.shown.base;
        let shown = &self.shown;
        let Clients { kv, lease, maintenance, .. } = &mut self.clients;
        Ok(match *verb {
            "put" => shown.put(&kv.put(with(&metadata, request::put(&words))).await?.into_inner()),
            "range" => {
                let response = kv.range(with(&metadata, request::range(&words, base))).await?;
                shown.range(&response.into_inner(), words.contains(&"brief"))
            }
            "stream" => {
                let response = kv.range_stream(with(&metadata, request::range(&words, base))).await?;
                let mut response = response.into_inner();
                let mut out = Vec::new();
                loop {
                    match response.message().await {
                        Ok(Some(message)) => out.extend(shown.chunk(&message, words.contains(&"brief"))),
                        Ok(None) => break out,
                        Err(status) => {
                            out.push(format!("error {:?}: {}", status.code(), status.message()));
                            break out;
                        }
                    }
                }
            }
            "delete" => {
                let response = kv.delete_range(with(&metadata, request::delete(&words))).await?;
                shown.delete(&response.into_inner())
            }
            "txn" => shown.txn(&kv.txn(with(&metadata, request::txn(&lines[1..], base))).await?.into_inner()),
            "compact" => {
                let message = pb::CompactionRequest {
                    revision: base.parse(words[0]),
                    physical: words.contains(&"physical"),
                };
                let response = kv.compact(with(&metadata, message)).await?;
                shown.header_alone(response.into_inner().header.as_ref())
            }
            "fill" => {
                let size = words.iter().map(|word| words::option(word)).find(|(name, _)| *name == "size");
                let value = Bytes::from(vec![b'v'; size.map_or(1, |(_, size)| number(size))]);
                for index in 0..number::<usize>(words[1]) {
                    let key = format!("{}{index:04}", words[0]).into();
                    kv.put(pb::PutRequest { key, value: value.clone(), ..Default::default() }).await?;
                }
                Vec::new()
            }
            "hashkv" => {
                let message = pb::HashKvRequest { revision: base.parse(words[0]) };
                shown.hash_kv(&maintenance.hash_kv(with(&metadata, message)).await?.into_inner())
            }
            "hash" => {
                let response = maintenance.hash(with(&metadata, pb::HashRequest {})).await?;
                shown.header_alone(response.into_inner().header.as_ref())
            }
            "status" => {
                let response = maintenance.status(with(&metadata, pb::StatusRequest {})).await?;
                shown.status(&response.into_inner())
            }
            "alarms" | "alarm" | "disarm" => {
                let action = ["alarms", "alarm", "disarm"].iter().position(|name| name == verb);
                let message = pb::AlarmRequest {
                    action: i32::try_from(action.expect("one of the three")).expect("below three"),
                    member_id: shown.member_id(),
                    alarm: words.first().map_or(0, |word| number(word)),
                };
                shown.alarm(&maintenance.alarm(with(&metadata, message)).await?.into_inner())
            }
            "grant" | "revoke" | "attached" | "left" | "leases" | "keepalive" => {
                lease::perform(lease, shown, verb, &words, &metadata).await?
            }
            "restart" => {
                cluster.stop().await.expect("a running server can be stopped");
                self.start_again(cluster).await
            }
            _ => panic!("{verb} is not a request of this language"),
        })
    }

    /// Starts a server that is down and connects to it. The response has no lines.
    async fn start_again<C: Cluster>(&mut self, cluster: &mut C) -> Vec<String> {
        cluster.restart().await.unwrap_or_else(|error| panic!("failed to {error}"));
        self.clients = connect(cluster).await;
        Vec::new()
    }
}

/// A [`KvSession`] that can also kill the server.
#[derive(Debug)]
pub struct KillSession(KvSession);

impl<C: Killable> Session<C> for KillSession {
    const FRESH: bool = true;

    async fn open(cluster: &C) -> Self {
        Self(KvSession::open(cluster).await)
    }

    async fn execute(&mut self, cluster: &mut C, request: &[String]) -> Vec<String> {
        if request[0] != "kill9" {
            return self.0.execute(cluster, request).await;
        }
        cluster.kill9().await.expect("a running server can be killed");
        self.0.start_again(cluster).await
    }

    fn failed(response: &[String]) -> bool {
        <KvSession as Session<C>>::failed(response)
    }
}

/// A [`KvSession`] whose restarts are kills: both must give the same responses.
#[derive(Debug)]
pub struct AbruptSession(KillSession);

impl<C: Killable> Session<C> for AbruptSession {
    const FRESH: bool = true;

    async fn open(cluster: &C) -> Self {
        Self(KillSession::open(cluster).await)
    }

    async fn execute(&mut self, cluster: &mut C, request: &[String]) -> Vec<String> {
        if request[0] != "restart" {
            return self.0.execute(cluster, request).await;
        }
        self.0.execute(cluster, &["kill9".to_owned()]).await
    }

    fn failed(response: &[String]) -> bool {
        <KillSession as Session<C>>::failed(response)
    }
}

async fn connect(cluster: &impl Cluster) -> Clients {
    match Clients::connect(cluster).await {
        Ok(clients) => clients,
        Err(error) => panic!("failed to connect: {error:?}, the server logged:\n{}", cluster.logs()),
    }
}

/// Adds the `meta:name=value` words to a message.
pub(super) fn with<T>(words: &[&str], message: T) -> Request<T> {
    let mut request = Request::new(message);
    for word in words {
        let (name, value) = words::option(word.trim_start_matches("meta:"));
        let name = MetadataKey::from_bytes(name.as_bytes()).expect("a metadata name");
        let value = MetadataValue::try_from(words::bytes(value).as_ref()).expect("a metadata value");
        request.metadata_mut().insert(name, value);
    }
    request
}
