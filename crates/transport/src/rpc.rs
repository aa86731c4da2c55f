//! Requests to peers: one request, one response.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{
    LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use ferretcd_api_proto::leasepb::{LeaseInternalRequest, LeaseInternalResponse};
use ferretcd_base::{LeaseId, MemberId};
use ferretcd_engine::peers::{HashKv, LeaseInfo, Promote, RenewLease};
use ferretcd_engine::{PeerError, PeerHash, PeerRequest, PeerResponse, PeerVersions};
use http::{Method, StatusCode};
use http_body_util::Full;
use prost::Message;

use crate::client::{FullResponse, RequestError, request, with_type};
use crate::error_texts;
use crate::peer::Peer;
use crate::wire_json::{self, HashKvRequest, HashKvResponse, VersionsResponse};

const PROTOBUF: &str = "application/protobuf";
const JSON: &str = "application/json";
pub(crate) const DOWNGRADE_PATH: &str = "/downgrade/enabled";

/// Sends a request in the form that etcd gives it, and reads the response.
pub(crate) async fn send(peer: &Peer, request: PeerRequest) -> Result<PeerResponse, PeerError> {
    Ok(match request {
        PeerRequest::RenewLease(RenewLease(lease)) => {
            PeerResponse::RenewLease(renew_lease(peer, lease).await?)
        }
        PeerRequest::LeaseInfo(LeaseInfo(request)) => {
            PeerResponse::LeaseInfo(lease_info(peer, request).await?)
        }
        PeerRequest::Promote(Promote(id)) => PeerResponse::Promote(promote(peer, id).await?),
        PeerRequest::HashKv(HashKv(revision)) => PeerResponse::HashKv(hash_kv(peer, revision).await?),
        PeerRequest::GetVersions(_) => PeerResponse::GetVersions(version(peer).await?),
        PeerRequest::IsDowngrading(_) => PeerResponse::IsDowngrading(is_downgrading(peer).await?),
    })
}

async fn renew_lease(peer: &Peer, lease: LeaseId) -> Result<i64, PeerError> {
    let request = LeaseKeepAliveRequest { id: lease.0 }.encode_to_vec();
    let response = exchange(peer, Method::POST, "/leases", PROTOBUF, request).await?;
    let renewed = LeaseKeepAliveResponse::decode(lease_body(&response)?).map_err(unreadable)?;
    if renewed.id != lease.0 {
        return Err(PeerError::Rejected("lease: renew id mismatch".to_owned()));
    }
    Ok(renewed.ttl)
}

async fn lease_info(
    peer: &Peer,
    request: LeaseTimeToLiveRequest,
) -> Result<LeaseTimeToLiveResponse, PeerError> {
    let id = request.id;
    let request = LeaseInternalRequest { lease_time_to_live_request: Some(request) }.encode_to_vec();
    let response = exchange(peer, Method::POST, "/leases/internal", PROTOBUF, request).await?;
    let info = LeaseInternalResponse::decode(lease_body(&response)?).map_err(unreadable)?;
    let info = info.lease_time_to_live_response.filter(|info| info.id == id);
    info.ok_or_else(|| PeerError::Rejected("lease: TTL id mismatch".to_owned()))
}

fn lease_body(response: &FullResponse) -> Result<Bytes, PeerError> {
    match response.status {
        StatusCode::OK => Ok(response.body.clone()),
        StatusCode::NOT_FOUND => Err(PeerError::NotFound),
        StatusCode::REQUEST_TIMEOUT => Err(PeerError::TimeoutWaitApplied),
        _ => Err(rejected(response)),
    }
}

async fn promote(peer: &Peer, id: MemberId) -> Result<Vec<ferretcd_membership::Member>, PeerError> {
    // In decimal here, unlike everywhere else.
    let path = format!("/members/promote/{}", id.0);
    let response = exchange(peer, Method::POST, &path, JSON, Vec::new()).await?;
    match response.status {
        StatusCode::OK => wire_json::members(&response.body).map_err(unreadable),
        StatusCode::NOT_FOUND => Err(PeerError::NotFound),
        StatusCode::REQUEST_TIMEOUT => Err(PeerError::Timeout),
        StatusCode::PRECONDITION_FAILED if response.text().contains(error_texts::LEARNER_NOT_READY) => {
            Err(PeerError::LearnerNotReady)
        }
        StatusCode::PRECONDITION_FAILED if response.text().contains(error_texts::NOT_LEARNER) => {
            Err(PeerError::NotLearner)
        }
        _ => Err(rejected(&response)),
    }
}

async fn hash_kv(peer: &Peer, revision: i64) -> Result<PeerHash, PeerError> {
    let request = serde_json::to_vec(&HashKvRequest { revision }).map_err(unreadable)?;
    let response = exchange(peer, Method::GET, "/members/hashkv", JSON, request).await?;
    match response.status {
        StatusCode::OK => serde_json::from_slice::<HashKvResponse>(&response.body)
            .map(HashKvResponse::hash)
            .map_err(unreadable),
        StatusCode::BAD_REQUEST if response.text().contains(error_texts::COMPACTED) => {
            Err(PeerError::Compacted)
        }
        StatusCode::BAD_REQUEST if response.text().contains(error_texts::FUTURE_REVISION) => {
            Err(PeerError::FutureRevision)
        }
        _ => Err(rejected(&response)),
    }
}

async fn version(peer: &Peer) -> Result<PeerVersions, PeerError> {
    versions_of(&exchange(peer, Method::GET, "/version", JSON, Vec::new()).await?)
}

pub(crate) fn versions_of(response: &FullResponse) -> Result<PeerVersions, PeerError> {
    match response.status {
        StatusCode::OK => {
            let versions: VersionsResponse = serde_json::from_slice(&response.body).map_err(unreadable)?;
            Ok(versions.versions())
        }
        _ => Err(rejected(response)),
    }
}

async fn is_downgrading(peer: &Peer) -> Result<bool, PeerError> {
    is_downgrading_of(&exchange(peer, Method::GET, DOWNGRADE_PATH, JSON, Vec::new()).await?)
}

pub(crate) fn is_downgrading_of(response: &FullResponse) -> Result<bool, PeerError> {
    match response.status {
        StatusCode::OK => response.text().parse().map_err(unreadable),
        _ => Err(rejected(response)),
    }
}

/// Sends a request to one of a peer's URLs. All of these requests may be repeated.
async fn exchange(
    peer: &Peer,
    method: Method,
    path: &str,
    content_type: &'static str,
    body: Vec<u8>,
) -> Result<FullResponse, PeerError> {
    let (local, body) = (&peer.local, Full::new(Bytes::from(body)));
    let attempts = async {
        let mut last = PeerError::Unreachable(format!("member {} has no valid URL", peer.id));
        let urls = peer.urls.all();
        // The first URL once more at the end: the pool may have picked a connection that the peer had just closed.
        for url in urls.iter().chain(urls.first()) {
            let request = request(url, method.clone(), path, &local.identity, body.clone());
            match local.rpcs.call(with_type(request, content_type), local.config.call_timeout).await {
                Ok(response) => return Ok(response),
                Err(error) => last = unreachable(error),
            }
            peer.urls.failed(url);
        }
        Err(last)
    };
    // The time-out covers all URLs together.
    tokio::time::timeout(local.config.call_timeout, attempts).await.unwrap_or(Err(PeerError::Timeout))
}

pub(crate) fn unreachable(error: RequestError) -> PeerError {
    match error {
        RequestError::Timeout => PeerError::Timeout,
        other => PeerError::Unreachable(other.to_string()),
    }
}

pub(crate) fn rejected(response: &FullResponse) -> PeerError {
    PeerError::Rejected(format!("{}: {}", response.status, response.text()))
}

pub(crate) fn unreadable(error: impl std::fmt::Display) -> PeerError {
    PeerError::Rejected(format!("the answer is unreadable: {error}"))
}
