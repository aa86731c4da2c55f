//! The Maintenance service.

use ferretcd_api_proto::errors::{Error, Untyped};
use ferretcd_api_proto::etcdserverpb::downgrade_request::DowngradeAction;
use ferretcd_api_proto::etcdserverpb::maintenance_server::Maintenance;
use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse, DowngradeInfo,
    DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse,
    MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest, StatusRequest, StatusResponse,
};
use ferretcd_base::MemberId;
use ferretcd_engine::{Cluster, MemberInfo};
use tonic::{Request, Response, Status, async_trait};

use crate::caller;
use crate::snapshot::{self, SnapshotStream};
use crate::status::status;

/// Serves the requests of operators to one member.
#[derive(Clone, Debug)]
pub(crate) struct MaintenanceService {
    pub(crate) maintenance: ferretcd_engine::Maintenance,
    pub(crate) cluster: Cluster,
    pub(crate) member: MemberInfo,
}

#[async_trait]
impl Maintenance for MaintenanceService {
    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        let (caller, request) = caller::split(request);
        self.maintenance.alarm(&caller, request).await.map(Response::new).map_err(status)
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let (caller, StatusRequest {}) = caller::split(request);
        self.maintenance.check_user(&caller).await.map_err(status)?;
        let member = &self.member;
        let ferretcd_engine::Status { leader, term, committed, applied } = member.status();
        let size = self.maintenance.db_size();
        Ok(Response::new(StatusResponse {
            header: Some(member.header(member.revision())),
            version: ferretcd_api_proto::API_VERSION.to_owned(),
            db_size: size.total as i64,
            db_size_in_use: size.in_use as i64,
            db_size_quota: self.maintenance.quota_bytes(),
            leader: leader.unwrap_or_default().0,
            raft_index: committed,
            raft_term: term,
            raft_applied_index: applied,
            errors: faults(member),
            is_learner: member.is_learner(),
            storage_version: member.versions().storage.unwrap_or_default(),
            downgrade_info: Some(downgrade_info(member)),
        }))
    }

    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        let (caller, HashRequest {}) = caller::split(request);
        let hash = self.maintenance.hash(&caller).await.map_err(status)?;
        let header = self.member.header(self.member.revision());
        Ok(Response::new(HashResponse { header: Some(header), hash }))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        let (caller, request) = caller::split(request);
        let hash = self.maintenance.hash_kv(&caller, request.revision).await.map_err(status)?;
        Ok(Response::new(HashKvResponse {
            header: Some(self.member.header(hash.current_revision)),
            hash: hash.hash,
            compact_revision: hash.compact_revision,
            hash_revision: hash.hash_revision,
        }))
    }

    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        let (caller, request) = caller::split(request);
        self.cluster.move_leader(&caller, MemberId(request.target_id)).await.map_err(status)?;
        Ok(Response::new(MoveLeaderResponse::default()))
    }

    async fn defragment(
        &self,
        request: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        let (caller, DefragmentRequest {}) = caller::split(request);
        self.maintenance.defragment(&caller).await.map_err(status)?;
        Ok(Response::new(DefragmentResponse::default()))
    }

    type SnapshotStream = SnapshotStream;

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let (caller, SnapshotRequest {}) = caller::split(request);
        let version = self.member.versions().storage.unwrap_or_default();
        Ok(Response::new(snapshot::stream(self.maintenance.clone(), caller, version)))
    }

    async fn downgrade(
        &self,
        request: Request<DowngradeRequest>,
    ) -> Result<Response<DowngradeResponse>, Status> {
        let (caller, DowngradeRequest { action, version }) = caller::split(request);
        let version = match DowngradeAction::try_from(action) {
            Ok(DowngradeAction::Validate) => self.maintenance.validate_downgrade(&caller, &version).await,
            Ok(DowngradeAction::Enable) => self.maintenance.begin_downgrade(&caller, &version).await,
            Ok(DowngradeAction::Cancel) => self.maintenance.cancel_downgrade(&caller).await,
            Err(_) => {
                self.maintenance.check_root(&caller).await.map_err(status)?;
                return Err(status(Untyped::UnknownMethod));
            }
        };
        let version = version.map_err(status)?.short();
        let header = self.member.header(self.member.revision());
        Ok(Response::new(DowngradeResponse { header: Some(header), version }))
    }
}

fn downgrade_info(member: &MemberInfo) -> DowngradeInfo {
    let membership = member.membership();
    let target = membership.downgrade_target();
    DowngradeInfo { enabled: target.is_some(), target_version: target.unwrap_or_default().to_owned() }
}

/// The faults of the member and its cluster, as texts for people.
fn faults(member: &MemberInfo) -> Vec<String> {
    let no_leader = member.status().leader.is_none().then(|| Error::NoLeader.message().to_owned());
    let alarms = member.alarms();
    let alarms = alarms.iter().map(|alarm| {
        let kind = AlarmType::try_from(alarm.kind)
            .map_or_else(|_| alarm.kind.to_string(), |kind| kind.as_str_name().to_owned());
        format!("memberID:{} alarm:{kind}", alarm.member.0)
    });
    no_leader.into_iter().chain(alarms).collect()
}
