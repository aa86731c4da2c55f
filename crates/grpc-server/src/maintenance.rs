//! The Maintenance service.

use ferretcd_api_proto::errors::Error;
use ferretcd_api_proto::etcdserverpb::maintenance_server::Maintenance;
use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse, DowngradeInfo,
    DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse,
    MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest, StatusRequest, StatusResponse,
};
use ferretcd_base::MemberId;
use ferretcd_engine::Engine;
use tonic::{Request, Response, Status, async_trait};

use crate::snapshot::{self, SnapshotStream};
use crate::status::{RpcError, status};

/// Serves the requests of operators to one member.
#[derive(Clone, Debug)]
pub(crate) struct MaintenanceService {
    pub(crate) engine: Engine,
}

#[async_trait]
impl Maintenance for MaintenanceService {
    async fn alarm(&self, request: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        self.engine.alarm(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let engine = &self.engine;
        let ferretcd_engine::Status { leader, term, committed, applied } = engine.status();
        let size = engine.db_size();
        Ok(Response::new(StatusResponse {
            header: Some(engine.header(engine.reader().revision())),
            version: ferretcd_api_proto::API_VERSION.to_owned(),
            db_size: size.total as i64,
            db_size_in_use: size.in_use as i64,
            db_size_quota: engine.quota_bytes(),
            leader: leader.unwrap_or_default().0,
            raft_index: committed,
            raft_term: term,
            raft_applied_index: applied,
            errors: faults(engine),
            is_learner: engine.is_learner(),
            storage_version: engine.versions().storage.unwrap_or_default().to_owned(),
            downgrade_info: Some(DowngradeInfo::default()),
        }))
    }

    async fn hash(&self, _: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        let hash = self.engine.hash().await.map_err(status)?;
        let header = self.engine.header(self.engine.reader().revision());
        Ok(Response::new(HashResponse { header: Some(header), hash }))
    }

    async fn hash_kv(&self, request: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        let hash = self.engine.hash_kv(request.get_ref().revision).await.map_err(status)?;
        Ok(Response::new(HashKvResponse {
            header: Some(self.engine.header(hash.current_revision)),
            hash: hash.hash,
            compact_revision: hash.compact_revision,
            hash_revision: hash.hash_revision,
        }))
    }

    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        self.engine.move_leader(MemberId(request.get_ref().target_id)).await.map_err(status)?;
        Ok(Response::new(MoveLeaderResponse::default()))
    }

    async fn defragment(
        &self,
        _: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        Err(status(RpcError::Unimplemented("defragment its state file")))
    }

    type SnapshotStream = SnapshotStream;

    async fn snapshot(&self, _: Request<SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        Ok(Response::new(snapshot::stream(&self.engine)))
    }

    async fn downgrade(&self, _: Request<DowngradeRequest>) -> Result<Response<DowngradeResponse>, Status> {
        Err(status(RpcError::Unimplemented("downgrade a cluster")))
    }
}

/// The faults of the member and its cluster, as texts for people.
fn faults(engine: &Engine) -> Vec<String> {
    let no_leader = engine.status().leader.is_none().then(|| Error::NoLeader.message().to_owned());
    let alarms = engine.alarms();
    let alarms = alarms.iter().map(|alarm| {
        let kind = AlarmType::try_from(alarm.kind)
            .map_or_else(|_| alarm.kind.to_string(), |kind| kind.as_str_name().to_owned());
        format!("memberID:{} alarm:{kind} ", alarm.member.0)
    });
    no_leader.into_iter().chain(alarms).collect()
}
