//! Questions to another member: one request, one answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{
    LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use ferretcd_api_proto::leasepb::{LeaseInternalRequest, LeaseInternalResponse};
use ferretcd_base::{ClusterId, LeaseId, MemberId};
use ferretcd_engine::peers::{HashKv, LeaseInfo, Promote, RenewLease};
use ferretcd_engine::{PeerError, PeerHash, PeerRequest, PeerResponse, PeerVersions};
use http::{HeaderMap, Method, StatusCode, Uri};
use prost::Message;

use crate::client::{Client, Reply, RequestError, request, with_type};
use crate::error_texts;
use crate::headers::{CLUSTER_ID, FERRETCD, text};
use crate::link::Link;
use crate::wire_json::{HashAnswer, HashQuestion, VersionAnswer};
use crate::{Connect, wire_json};

const PROTOBUF: &str = "application/protobuf";
const JSON: &str = "application/json";

/// Sends a request in the form that etcd gives it, and reads the response.
pub(crate) async fn send(link: &Link, request: PeerRequest) -> Result<PeerResponse, PeerError> {
    Ok(match request {
        PeerRequest::RenewLease(RenewLease(lease)) => {
            PeerResponse::RenewLease(renew_lease(link, lease).await?)
        }
        PeerRequest::LeaseInfo(LeaseInfo(request)) => {
            PeerResponse::LeaseInfo(lease_info(link, request).await?)
        }
        PeerRequest::Promote(Promote(id)) => PeerResponse::Promote(promote(link, id).await?),
        PeerRequest::HashKv(HashKv(revision)) => PeerResponse::HashKv(hash_kv(link, revision).await?),
        PeerRequest::GetVersions(_) => PeerResponse::GetVersions(version(link).await?),
    })
}

async fn renew_lease(link: &Link, lease: LeaseId) -> Result<i64, PeerError> {
    let question = LeaseKeepAliveRequest { id: lease.0 }.encode_to_vec();
    let reply = ask(link, Method::POST, "/leases", PROTOBUF, question).await?;
    let answer = LeaseKeepAliveResponse::decode(lease_answer(&reply)?).map_err(unreadable)?;
    if answer.id != lease.0 {
        return Err(PeerError::Rejected("lease: renew id mismatch".to_owned()));
    }
    Ok(answer.ttl)
}

async fn lease_info(
    link: &Link,
    request: LeaseTimeToLiveRequest,
) -> Result<LeaseTimeToLiveResponse, PeerError> {
    let id = request.id;
    let question = LeaseInternalRequest { lease_time_to_live_request: Some(request) }.encode_to_vec();
    let reply = ask(link, Method::POST, "/leases/internal", PROTOBUF, question).await?;
    let answer = LeaseInternalResponse::decode(lease_answer(&reply)?).map_err(unreadable)?;
    let answer = answer.lease_time_to_live_response.filter(|answer| answer.id == id);
    answer.ok_or_else(|| PeerError::Rejected("lease: TTL id mismatch".to_owned()))
}

fn lease_answer(reply: &Reply) -> Result<Bytes, PeerError> {
    match reply.status {
        StatusCode::OK => Ok(reply.body.clone()),
        StatusCode::NOT_FOUND => Err(PeerError::NotFound),
        StatusCode::REQUEST_TIMEOUT => Err(PeerError::TimeoutWaitApplied),
        _ => Err(refused(reply)),
    }
}

async fn promote(link: &Link, id: MemberId) -> Result<Vec<ferretcd_membership::Member>, PeerError> {
    // In decimal here, unlike everywhere else.
    let path = format!("/members/promote/{}", id.0);
    let reply = ask(link, Method::POST, &path, JSON, Vec::new()).await?;
    match reply.status {
        StatusCode::OK => wire_json::members(&reply.body).map_err(unreadable),
        StatusCode::NOT_FOUND => Err(PeerError::NotFound),
        StatusCode::REQUEST_TIMEOUT => Err(PeerError::Timeout),
        StatusCode::PRECONDITION_FAILED if reply.text().contains(error_texts::LEARNER_NOT_READY) => {
            Err(PeerError::LearnerNotReady)
        }
        StatusCode::PRECONDITION_FAILED if reply.text().contains(error_texts::NOT_LEARNER) => {
            Err(PeerError::NotLearner)
        }
        _ => Err(refused(&reply)),
    }
}

async fn hash_kv(link: &Link, revision: i64) -> Result<PeerHash, PeerError> {
    let question = serde_json::to_vec(&HashQuestion { revision }).map_err(unreadable)?;
    let reply = ask(link, Method::GET, "/members/hashkv", JSON, question).await?;
    match reply.status {
        StatusCode::OK => {
            serde_json::from_slice::<HashAnswer>(&reply.body).map(HashAnswer::hash).map_err(unreadable)
        }
        StatusCode::BAD_REQUEST if reply.text().contains(error_texts::COMPACTED) => Err(PeerError::Compacted),
        StatusCode::BAD_REQUEST if reply.text().contains(error_texts::FUTURE_REVISION) => {
            Err(PeerError::FutureRevision)
        }
        _ => Err(refused(&reply)),
    }
}

async fn version(link: &Link) -> Result<PeerVersions, PeerError> {
    let reply = ask(link, Method::GET, "/version", JSON, Vec::new()).await?;
    match reply.status {
        StatusCode::OK => {
            let answer: VersionAnswer = serde_json::from_slice(&reply.body).map_err(unreadable)?;
            Ok(answer.versions(reply.headers.contains_key(FERRETCD)))
        }
        _ => Err(refused(&reply)),
    }
}

/// Asks a member at one of its URLs. None of the questions does harm when it is asked twice.
async fn ask(
    link: &Link,
    method: Method,
    path: &str,
    content_type: &'static str,
    body: Vec<u8>,
) -> Result<Reply, PeerError> {
    let (local, body) = (&link.local, Bytes::from(body));
    let asking = async {
        let mut last = PeerError::Unreachable(format!("member {} has no valid URL", link.id));
        let urls = link.urls.all();
        // Once more at the end where it began: there may have been a connection that had just been closed.
        for url in urls.iter().chain(urls.first()) {
            let request = request(url, method.clone(), path, &local.identity, body.clone());
            match local.calls.call(with_type(request, content_type), local.config.call_timeout).await {
                Ok(reply) => return Ok(reply),
                Err(error) => last = unreachable(error),
            }
            link.urls.failed(url);
        }
        Err(last)
    };
    // All URLs together have the time of one.
    tokio::time::timeout(local.config.call_timeout, asking).await.unwrap_or(Err(PeerError::Timeout))
}

/// Asks members who belongs to their cluster, for one that is about to join. The first of the peer URLs that
/// answers decides; the own ones must not be among them.
pub async fn cluster_members(
    connect: Arc<dyn Connect>,
    peer_urls: &[String],
    timeout: Duration,
) -> Result<(ClusterId, Vec<ferretcd_membership::Member>), PeerError> {
    let client = Client::for_calls(connect, timeout, timeout);
    let mut last = PeerError::Unreachable("no valid URL was given".to_owned());
    for url in peer_urls.iter().filter_map(|url| url.parse::<Uri>().ok()) {
        let request = request(&url, Method::GET, "/members", &HeaderMap::new(), Bytes::new());
        let outcome = client.call(request, timeout).await.map_err(unreachable);
        match outcome.and_then(|reply| members_answer(&reply)) {
            Ok(answer) => return Ok(answer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn members_answer(reply: &Reply) -> Result<(ClusterId, Vec<ferretcd_membership::Member>), PeerError> {
    if reply.status != StatusCode::OK {
        return Err(refused(reply));
    }
    let cluster = text(&reply.headers, &CLUSTER_ID).and_then(|id| u64::from_str_radix(id, 16).ok());
    let cluster = cluster.ok_or_else(|| PeerError::Rejected("the answer names no cluster".to_owned()))?;
    Ok((ClusterId(cluster), wire_json::members(&reply.body).map_err(unreadable)?))
}

fn unreachable(error: RequestError) -> PeerError {
    match error {
        RequestError::Timeout => PeerError::Timeout,
        other => PeerError::Unreachable(other.to_string()),
    }
}

fn refused(reply: &Reply) -> PeerError {
    PeerError::Rejected(format!("{}: {}", reply.status, reply.text()))
}

fn unreadable(error: impl std::fmt::Display) -> PeerError {
    PeerError::Rejected(format!("the answer is unreadable: {error}"))
}
