//! Requests with one response each.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse};
use ferretcd_api_proto::leasepb::{LeaseInternalRequest, LeaseInternalResponse};
use ferretcd_base::{LeaseId, MemberId};
use ferretcd_engine::peers::{HashKv, IsDowngrading, LeaseInfo, Promote, RenewLease};
use ferretcd_engine::{Caller, PeerError};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use prost::Message;
use tracing::warn;

use super::request::{BodyRejected, expect_method, whole_body};
use crate::error_texts;
use crate::headers::{CLUSTER_ID, CLUSTER_MISMATCH, text};
use crate::local_context::LocalContext;
use crate::prober::Health;
use crate::rejection::Rejection;
use crate::response::{HttpResponse, with};
pub(super) use crate::rpc::DOWNGRADE_PATH;
use crate::wire_json::{self, HashKvRequest, HashKvResponse};

const PROTOBUF: &str = "application/protobuf";
const JSON: &str = "application/json";
/// Bytes of a request, at most; etcd's bound for lease requests.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// `/raft/probing`: the health and the clock of the local member.
pub(super) fn probe() -> HttpResponse {
    let health = serde_json::to_string(&Health::now()).expect("texts have a JSON form");
    with(StatusCode::OK, JSON, format!("{health}\n").into())
}

/// `/members`: all members of the cluster.
pub(super) fn members(local: &LocalContext, method: &Method) -> Result<HttpResponse, Rejection> {
    expect_method(method, &Method::GET)?;
    let members = wire_json::from_members(&local.member.members());
    Ok(with(StatusCode::OK, JSON, members.into()))
}

/// `/members/promote/<id>`: promotes a learner to a voter.
pub(super) async fn promote(
    local: &LocalContext,
    caller: &Caller,
    method: &Method,
    path: &str,
) -> Result<HttpResponse, Rejection> {
    expect_method(method, &Method::POST)?;
    let id = path.strip_prefix("/members/promote/").unwrap_or_default();
    let Ok(number) = id.parse() else {
        return Err(Rejection::text(StatusCode::NOT_FOUND, format!("member {id} not found in cluster")));
    };
    let promoted = local.member.call(caller, Promote(MemberId(number))).await.inspect_err(|error| {
        warn!("member-id" = %MemberId(number), error = %error, "failed to promote a member");
    });
    let members = promoted.map_err(|error| match error {
        PeerError::NotFound => Rejection::text(StatusCode::NOT_FOUND, error_texts::ID_NOT_FOUND),
        PeerError::NotLearner => Rejection::Precondition(error_texts::NOT_LEARNER),
        PeerError::LearnerNotReady => Rejection::Precondition(error_texts::LEARNER_NOT_READY),
        PeerError::Timeout => Rejection::text(StatusCode::REQUEST_TIMEOUT, "etcdserver: request timed out"),
        _ => Rejection::Json(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    })?;
    Ok(with(StatusCode::OK, JSON, wire_json::from_members(&members).into()))
}

/// `/members/hashkv`: the hash of the key space.
pub(super) async fn hash_kv(
    local: &LocalContext,
    caller: &Caller,
    request: Request<Incoming>,
) -> Result<HttpResponse, Rejection> {
    expect_method(request.method(), &Method::GET)?;
    let cluster = text(request.headers(), &CLUSTER_ID).unwrap_or_default();
    if !cluster.is_empty() && cluster != local.cluster.to_string() {
        return Err(Rejection::Precondition(CLUSTER_MISMATCH));
    }
    let bad = |text: &str| Rejection::text(StatusCode::BAD_REQUEST, text);
    let body = whole_body(request.into_body(), REQUEST_BYTES_MAX).await;
    let body = body.map_err(|_| bad("error reading body"))?;
    let parsed: Result<HashKvRequest, _> = serde_json::from_slice(&body);
    let revision = parsed.map_err(|_| bad("error unmarshalling request"))?.revision;
    let hash = local.member.call(caller, HashKv(revision)).await.map_err(|error| {
        warn!("requested-revision" = revision, error = %error, "failed to get hashKV");
        match error {
            PeerError::Compacted => bad(error_texts::COMPACTED),
            PeerError::FutureRevision => bad(error_texts::FUTURE_REVISION),
            other => bad(&other.to_string()),
        }
    })?;
    let response = serde_json::to_vec(&HashKvResponse::from(hash)).expect("numbers have a JSON form");
    Ok(with(StatusCode::OK, JSON, response.into()))
}

/// `/leases`: renews a lease.
pub(super) async fn renew_lease(
    local: &LocalContext,
    caller: &Caller,
    request: Request<Incoming>,
) -> Result<HttpResponse, Rejection> {
    let request = LeaseKeepAliveRequest::decode(lease_request(request).await?).map_err(|_| malformed())?;
    let ttl = local.member.call(caller, RenewLease(LeaseId(request.id))).await.map_err(lease_rejection)?;
    let response = LeaseKeepAliveResponse { id: request.id, ttl, ..LeaseKeepAliveResponse::default() };
    Ok(with(StatusCode::OK, PROTOBUF, response.encode_to_vec().into()))
}

/// `/leases/internal`: the remaining time of a lease.
pub(super) async fn lease_info(
    local: &LocalContext,
    caller: &Caller,
    request: Request<Incoming>,
) -> Result<HttpResponse, Rejection> {
    let request = LeaseInternalRequest::decode(lease_request(request).await?).map_err(|_| malformed())?;
    let request = request.lease_time_to_live_request.ok_or_else(malformed)?;
    let mut info = local.member.call(caller, LeaseInfo(request)).await.map_err(lease_rejection)?;
    // An etcd expects a header, and fills it in.
    info.header.get_or_insert_default();
    let response = LeaseInternalResponse { lease_time_to_live_response: Some(info) };
    Ok(with(StatusCode::OK, PROTOBUF, response.encode_to_vec().into()))
}

async fn lease_request(request: Request<Incoming>) -> Result<Bytes, Rejection> {
    expect_method(request.method(), &Method::POST)?;
    whole_body(request.into_body(), REQUEST_BYTES_MAX).await.map_err(|rejected| match rejected {
        BodyRejected::TooLarge => Rejection::text(StatusCode::PAYLOAD_TOO_LARGE, "request body too large"),
        BodyRejected::Broken => Rejection::text(StatusCode::BAD_REQUEST, "error reading body"),
    })
}

fn malformed() -> Rejection {
    Rejection::text(StatusCode::BAD_REQUEST, "error unmarshalling request")
}

fn lease_rejection(error: PeerError) -> Rejection {
    match error {
        PeerError::NotFound => Rejection::text(StatusCode::NOT_FOUND, error_texts::LEASE_NOT_FOUND),
        PeerError::TimeoutWaitApplied | PeerError::Timeout => {
            Rejection::text(StatusCode::REQUEST_TIMEOUT, error_texts::WAIT_APPLIED)
        }
        other => Rejection::text(StatusCode::INTERNAL_SERVER_ERROR, other.to_string()),
    }
}

/// `/downgrade/enabled`: whether a downgrade of the cluster is in progress.
pub(super) async fn is_downgrading(
    local: &LocalContext,
    caller: &Caller,
    method: &Method,
) -> Result<HttpResponse, Rejection> {
    expect_method(method, &Method::GET)?;
    let is_downgrading = local.member.call(caller, IsDowngrading).await.map_err(|error| {
        Rejection::text(StatusCode::INTERNAL_SERVER_ERROR, format!("failed linearized read: {error}"))
    })?;
    Ok(with(StatusCode::OK, "text/plain", is_downgrading.to_string().into()))
}
