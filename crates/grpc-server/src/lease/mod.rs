//! The Lease service.

use std::pin::Pin;

use api_proto::errors::Untyped;
use api_proto::etcdserverpb::lease_server::Lease;
use api_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesRequest,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};
use base::LeaseId;
use engine::{Engine, RequestError};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::accept::Connection;
use crate::drain::Drain;
use crate::status::status;

/// Serves the leases of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct LeaseService {
    pub(crate) engine: Engine,
    pub(crate) drain: Drain,
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

    type LeaseKeepAliveStream = Pin<Box<dyn Stream<Item = Result<LeaseKeepAliveResponse, Status>> + Send>>;

    /// One answer for each request, in order. The first error ends the stream.
    async fn lease_keep_alive(
        &self,
        requests: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let engine = self.engine.clone();
        // As long as the stream lives the connection gathers its answers with those of the others.
        let call = Connection::begin_call(requests.extensions());
        let answers = requests.into_inner().then(move |request| {
            let _ = &call;
            let engine = engine.clone();
            async move {
                let renewed = engine.lease_keep_alive(LeaseId(request?.id)).await;
                renewed.map_err(|error| refuse_renewal(&engine, error))
            }
        });
        Ok(Response::new(Box::pin(self.drain.end(Box::pin(answers)))))
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

/// A member that thinks it leads, and finds nobody who agrees, sends the client to another one.
fn refuse_renewal(engine: &Engine, error: RequestError) -> Status {
    match error {
        RequestError::Timeout | RequestError::LeaderChanged if engine.is_leader() => {
            status(Untyped::NotPrimaryLessor)
        }
        error => status(error),
    }
}
