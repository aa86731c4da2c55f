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
use ferretcd_engine::Leases;
use tonic::{Request, Response, Status, Streaming, async_trait};

pub(crate) use self::keep_alive::KeepAliveService;
use crate::caller;
use crate::status::{RpcError, status};

/// Serves the leases of a cluster, but for [keep-alives](KeepAliveService).
#[derive(Clone, Debug)]
pub(crate) struct LeaseService {
    pub(crate) leases: Leases,
}

#[async_trait]
impl Lease for LeaseService {
    async fn lease_grant(
        &self,
        request: Request<LeaseGrantRequest>,
    ) -> Result<Response<LeaseGrantResponse>, Status> {
        let (caller, request) = caller::split(request);
        self.leases.grant(&caller, request).await.map(Response::new).map_err(status)
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        let (caller, request) = caller::split(request);
        self.leases.revoke(&caller, request).await.map(Response::new).map_err(status)
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
        let (caller, request) = caller::split(request);
        self.leases.time_to_live(&caller, request).await.map(Response::new).map_err(status)
    }

    async fn lease_leases(
        &self,
        request: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        let (caller, LeaseLeasesRequest {}) = caller::split(request);
        self.leases.list(&caller).await.map(Response::new).map_err(status)
    }
}
