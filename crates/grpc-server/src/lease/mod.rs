//! The Lease service.
//!
//! Its streams are not made of the library's parts, as those of Watch are not: a keep-alive is some tens of bytes
//! either way and a store to memory, and the library's way from one to the other costs several times that.

mod keep_alive;
mod renewals;
mod requests;

use ferretcd_api_proto::etcdserverpb::lease_server::Lease;
use ferretcd_api_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};
use ferretcd_engine::Engine;
use tonic::{Request, Response, Status, Streaming, async_trait};

pub(crate) use self::keep_alive::KeepAliveService;
use crate::status::{RpcError, status};

/// Serves the leases of a cluster, but for [keep-alives](KeepAliveService).
#[derive(Clone, Debug)]
pub(crate) struct LeaseService {
    pub(crate) engine: Engine,
}

#[async_trait]
impl Lease for LeaseService {
    async fn lease_grant(
        &self,
        request: Request<LeaseGrantRequest>,
    ) -> Result<Response<LeaseGrantResponse>, Status> {
        self.engine.lease_grant(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        self.engine.lease_revoke(request.into_inner()).await.map(Response::new).map_err(status)
    }

    type LeaseKeepAliveStream = tokio_stream::Empty<Result<LeaseKeepAliveResponse, Status>>;

    /// Never called: the path of this method leads to [`KeepAliveService`].
    async fn lease_keep_alive(
        &self,
        _: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        Err(status(RpcError::Unimplemented("renew leases here")))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        self.engine.lease_time_to_live(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn lease_leases(
        &self,
        _: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        self.engine.lease_leases().await.map(Response::new).map_err(status)
    }
}
