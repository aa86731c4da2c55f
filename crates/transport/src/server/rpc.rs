//! What is asked once and answered once.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse};
use ferretcd_api_proto::leasepb::{LeaseInternalRequest, LeaseInternalResponse};
use ferretcd_base::{LeaseId, MemberId};
use ferretcd_engine::PeerError;
use ferretcd_engine::peers::{HashKv, LeaseInfo, Promote, RenewLease};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use prost::Message;
use tracing::warn;

use super::{BodyRefused, only, whole_body};
use crate::error_texts;
use crate::headers::{CLUSTER_ID, CLUSTER_MISMATCH, text};
use crate::local_context::Local;
use crate::prober::Health;
use crate::response::{Answer, Refusal, with};
use crate::wire_json::{self, HashAnswer, HashQuestion};

const PROTOBUF: &str = "application/protobuf";
const JSON: &str = "application/json";
/// The largest question, in bytes; etcd's bound for those about leases.
const QUESTION_BYTES_MAX: usize = 64 << 10;

/// `/raft/probing`: whether this member is there, and what time it is.
pub(super) fn probe() -> Answer {
    let health = serde_json::to_string(&Health::now()).expect("texts have a JSON form");
    with(StatusCode::OK, JSON, format!("{health}\n").into())
}

/// `/members`: who belongs to the cluster.
pub(super) fn members(local: &Local, method: &Method) -> Result<Answer, Refusal> {
    only(method, &Method::GET)?;
    let members = wire_json::from_members(&local.member.members());
    Ok(with(StatusCode::OK, JSON, members.into()))
}

/// `/members/promote/<id>`: a learner is to become a voter.
pub(super) async fn promote(local: &Local, method: &Method, path: &str) -> Result<Answer, Refusal> {
    only(method, &Method::POST)?;
    let id = path.strip_prefix("/members/promote/").unwrap_or_default();
    let Ok(number) = id.parse() else {
        return Err(Refusal::text(StatusCode::NOT_FOUND, format!("member {id} not found in cluster")));
    };
    let promoted = local.member.call(Promote(MemberId(number))).await.inspect_err(|error| {
        warn!("member-id" = %MemberId(number), error = %error, "failed to promote a member");
    });
    let members = promoted.map_err(|error| match error {
        PeerError::NotFound => Refusal::text(StatusCode::NOT_FOUND, error_texts::ID_NOT_FOUND),
        PeerError::NotLearner => Refusal::Precondition(error_texts::NOT_LEARNER),
        PeerError::LearnerNotReady => Refusal::Precondition(error_texts::LEARNER_NOT_READY),
        PeerError::Timeout => Refusal::text(StatusCode::REQUEST_TIMEOUT, "etcdserver: request timed out"),
        _ => Refusal::Json(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
    })?;
    Ok(with(StatusCode::OK, JSON, wire_json::from_members(&members).into()))
}

/// `/members/hashkv`: the hash of the key space.
pub(super) async fn hash_kv(local: &Local, request: Request<Incoming>) -> Result<Answer, Refusal> {
    only(request.method(), &Method::GET)?;
    let cluster = text(request.headers(), &CLUSTER_ID).unwrap_or_default();
    if !cluster.is_empty() && cluster != local.cluster.to_string() {
        return Err(Refusal::Precondition(CLUSTER_MISMATCH));
    }
    let bad = |text: &str| Refusal::text(StatusCode::BAD_REQUEST, text);
    let body = whole_body(request.into_body(), QUESTION_BYTES_MAX).await;
    let body = body.map_err(|_| bad("error reading body"))?;
    let question: Result<HashQuestion, _> = serde_json::from_slice(&body);
    let revision = question.map_err(|_| bad("error unmarshalling request"))?.revision;
    let hash = local.member.call(HashKv(revision)).await.map_err(|error| {
        warn!("requested-revision" = revision, error = %error, "failed to get hashKV");
        match error {
            PeerError::Compacted => bad(error_texts::COMPACTED),
            PeerError::FutureRevision => bad(error_texts::FUTURE_REVISION),
            other => bad(&other.to_string()),
        }
    })?;
    let answer = serde_json::to_vec(&HashAnswer::from(hash)).expect("numbers have a JSON form");
    Ok(with(StatusCode::OK, JSON, answer.into()))
}

/// `/leases`: a lease is renewed.
pub(super) async fn renew_lease(local: &Local, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let question = LeaseKeepAliveRequest::decode(lease_question(request).await?).map_err(|_| malformed())?;
    let ttl = local.member.call(RenewLease(LeaseId(question.id))).await.map_err(lease_refusal)?;
    let answer = LeaseKeepAliveResponse { id: question.id, ttl, ..LeaseKeepAliveResponse::default() };
    Ok(with(StatusCode::OK, PROTOBUF, answer.encode_to_vec().into()))
}

/// `/leases/internal`: how long a lease has left.
pub(super) async fn lease_info(local: &Local, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let question = LeaseInternalRequest::decode(lease_question(request).await?).map_err(|_| malformed())?;
    let question = question.lease_time_to_live_request.ok_or_else(malformed)?;
    let mut answer = local.member.call(LeaseInfo(question)).await.map_err(lease_refusal)?;
    // An etcd fills in the header of what it is told, and crashes if there is none.
    answer.header.get_or_insert_default();
    let answer = LeaseInternalResponse { lease_time_to_live_response: Some(answer) };
    Ok(with(StatusCode::OK, PROTOBUF, answer.encode_to_vec().into()))
}

async fn lease_question(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    only(request.method(), &Method::POST)?;
    whole_body(request.into_body(), QUESTION_BYTES_MAX).await.map_err(|refused| match refused {
        BodyRefused::TooLarge => Refusal::text(StatusCode::PAYLOAD_TOO_LARGE, "request body too large"),
        BodyRefused::Broken => Refusal::text(StatusCode::BAD_REQUEST, "error reading body"),
    })
}

fn malformed() -> Refusal {
    Refusal::text(StatusCode::BAD_REQUEST, "error unmarshalling request")
}

fn lease_refusal(error: PeerError) -> Refusal {
    match error {
        PeerError::NotFound => Refusal::text(StatusCode::NOT_FOUND, error_texts::LEASE_NOT_FOUND),
        PeerError::TimeoutWaitApplied | PeerError::Timeout => {
            Refusal::text(StatusCode::REQUEST_TIMEOUT, error_texts::WAIT_APPLIED)
        }
        other => Refusal::text(StatusCode::INTERNAL_SERVER_ERROR, other.to_string()),
    }
}

/// `/downgrade/enabled`: whether the cluster is about to go back a version. It never is.
pub(super) fn downgrade(method: &Method) -> Result<Answer, Refusal> {
    only(method, &Method::GET)?;
    Ok(with(StatusCode::OK, "text/plain", Bytes::from_static(b"false")))
}
