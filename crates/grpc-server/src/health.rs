//! The gRPC health service, and the member's health for the HTTP pages.

use ferretcd_api_proto::etcdserverpb::{AlarmType, RangeRequest};
use ferretcd_engine::{Caller, Cluster, Kv, MemberInfo, RaftState, Role};
use ferretcd_http_pages::{Alarm, AlarmKind, BoxFuture, Raft, RaftProgress, Versions};
use ferretcd_listen::Drain;
use tokio_stream::StreamExt;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::end_on_drain::EndOnDrain;

/// Whether the server as a whole serves; single services are unknown to it.
#[derive(Clone, Debug)]
pub(crate) struct HealthService {
    pub(crate) drain: Drain,
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

pub(crate) fn serving(is_serving: bool) -> HealthCheckResponse {
    response(if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing })
}

#[async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !request.get_ref().service.is_empty() {
            return Err(Status::not_found("unknown service"));
        }
        Ok(Response::new(serving(!self.drain.has_begun())))
    }

    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = request.get_ref().service.is_empty();
        let changes = self.drain.changes().map(move |drains| {
            Ok(if is_known { serving(!drains) } else { response(ServingStatus::ServiceUnknown) })
        });
        Ok(Response::new(Box::pin(EndOnDrain::new(changes, &self.drain))))
    }
}

/// The member behind the HTTP pages.
#[derive(Debug)]
pub(crate) struct EngineHealth {
    pub(crate) kv: Kv,
    pub(crate) member: MemberInfo,
    pub(crate) cluster: Cluster,
}

impl ferretcd_http_pages::Health for EngineHealth {
    fn alarms(&self) -> Vec<Alarm> {
        let kind = |kind: i32| match AlarmType::try_from(kind) {
            Ok(AlarmType::Nospace) => Some(AlarmKind::NoSpace),
            Ok(AlarmType::Corrupt) => Some(AlarmKind::Corrupt),
            _ => None,
        };
        let alarms = self.member.alarms();
        alarms
            .iter()
            .filter_map(|alarm| Some(Alarm { member_id: alarm.member.0, kind: kind(alarm.kind)? }))
            .collect()
    }

    fn has_leader(&self) -> bool {
        self.member.status().leader.is_some()
    }

    /// Also while it is joining: clients are not served before it votes.
    fn is_learner(&self) -> bool {
        let members = self.member.membership();
        members.member(self.member.id()).is_some_and(|member| !member.is_voter())
    }

    fn read(&self, linearizable: bool) -> BoxFuture<'_, Result<(), String>> {
        let request = RangeRequest {
            key: [0].as_slice().into(),
            limit: 1,
            keys_only: true,
            serializable: !linearizable,
            ..RangeRequest::default()
        };
        Box::pin(async move {
            let response = self.kv.range(&Caller::MEMBER, request).await;
            response.map(drop).map_err(|error| crate::status::status(error).message().to_owned())
        })
    }

    fn raft(&self) -> BoxFuture<'_, Option<Raft>> {
        Box::pin(async { self.cluster.raft_state().await.ok().map(raft) })
    }

    fn versions(&self) -> Versions {
        let ferretcd_engine::Versions { cluster, storage } = self.member.versions();
        Versions { server: ferretcd_api_proto::API_VERSION.to_owned(), cluster, storage }
    }
}

/// With the names that etcd has for states.
fn raft(RaftState { status, progress }: RaftState) -> Raft {
    let progress = progress.into_iter().map(|member| RaftProgress {
        id: member.id.0,
        matched: member.matched,
        next: member.next,
        state: match () {
            () if member.needs_snapshot => "StateSnapshot",
            () if member.is_probed => "StateProbe",
            () => "StateReplicate",
        },
    });
    Raft {
        id: status.id.0,
        term: status.term,
        vote: status.vote.0,
        committed: status.committed,
        leader: status.leader.0,
        role: match status.role {
            Role::Follower => "StateFollower",
            Role::PreCandidate => "StatePreCandidate",
            Role::Candidate => "StateCandidate",
            Role::Leader => "StateLeader",
        },
        applied: status.applied,
        progress: progress.collect(),
        transferee: status.transferee.0,
    }
}
