//! A keep-alive stream.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::lease_client::LeaseClient;
use ferretcd_client::Channel;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, Streaming};

/// A keep-alive stream. Responses come in the order of the renewals. Dropping it cancels the rpc.
#[derive(Debug)]
pub struct Renewals {
    /// None after the half close.
    requests: Option<mpsc::Sender<pb::LeaseKeepAliveRequest>>,
    responses: Streaming<pb::LeaseKeepAliveResponse>,
}

impl Renewals {
    /// Opens a stream and renews these leases, at least one: a server need not send response headers before its first
    /// response.
    pub async fn begin(lease: &mut LeaseClient<Channel>, ids: &[i64]) -> Result<Self, Status> {
        Self::begin_with(lease, ids, MetadataMap::new()).await
    }

    /// As [`begin`](Self::begin), with this metadata.
    pub async fn begin_with(
        lease: &mut LeaseClient<Channel>,
        ids: &[i64],
        metadata: MetadataMap,
    ) -> Result<Self, Status> {
        let (requests, taken) = mpsc::channel(ids.len());
        for &id in ids {
            requests.send(pb::LeaseKeepAliveRequest { id }).await.expect("there is room for all");
        }
        let mut call = Request::new(ReceiverStream::new(taken));
        *call.metadata_mut() = metadata;
        let responses = lease.lease_keep_alive(call).await?.into_inner();
        Ok(Self { requests: Some(requests), responses })
    }

    /// Sends a renewal. Only [`Renewals::next`] reports that the stream has ended.
    pub async fn send(&mut self, id: i64) {
        let requests = self.requests.as_ref().expect("nothing is sent after the half close");
        let _ = requests.send(pb::LeaseKeepAliveRequest { id }).await;
    }

    /// Closes the sending side.
    pub fn half_close(&mut self) {
        self.requests = None;
    }

    /// The next response; none when the server has ended the stream without an error.
    pub async fn next(&mut self) -> Result<Option<pb::LeaseKeepAliveResponse>, Status> {
        self.responses.message().await
    }

    /// Renews a lease and returns its TTL in seconds, 0 if there is no such lease.
    pub async fn renew(&mut self, id: i64) -> Result<i64, Status> {
        self.send(id).await;
        let response = self.next().await?.ok_or_else(|| Status::aborted("the server ended the stream"))?;
        assert_eq!(response.id, id, "responses come in order");
        Ok(response.ttl)
    }
}
