//! The Cluster service.

use api_proto::etcdserverpb::cluster_server::Cluster;
use api_proto::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest,
    MemberUpdateResponse,
};
use engine::Engine;
use tonic::{Request, Response, Status, async_trait};

use crate::status::{Refusal, status};

/// Serves the list of members. Headers of this service carry no revision.
#[derive(Clone, Debug)]
pub(crate) struct ClusterService {
    pub(crate) engine: Engine,
}

/// A cluster has the one member that it was started with.
fn fixed() -> Status {
    status(Refusal::Unimplemented("change the members of a cluster"))
}

#[async_trait]
impl Cluster for ClusterService {
    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        if request.get_ref().linearizable {
            self.engine.read_view(true).await.map_err(status)?;
        }
        let membership = self.engine.membership();
        let members = membership.members().map(|member| Member {
            id: member.id.0,
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            client_urls: member.client_urls.clone(),
            is_learner: member.is_learner,
        });
        Ok(Response::new(MemberListResponse {
            header: Some(self.engine.header(0)),
            members: members.collect(),
        }))
    }

    async fn member_add(&self, _: Request<MemberAddRequest>) -> Result<Response<MemberAddResponse>, Status> {
        Err(fixed())
    }

    async fn member_remove(
        &self,
        _: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        Err(fixed())
    }

    async fn member_update(
        &self,
        _: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        Err(fixed())
    }

    async fn member_promote(
        &self,
        _: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        Err(fixed())
    }
}
