//! The KV service.

use ferretcd_api_proto::errors::{Error, Untyped};
use ferretcd_api_proto::etcdserverpb::kv_server::Kv;
use ferretcd_api_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use ferretcd_api_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, RangeStreamResponse, TxnRequest, TxnResponse,
};
use ferretcd_engine::{KvResponse, MemberInfo};
use tokio_stream::Empty;
use tonic::{Request, Response, Status, async_trait};

use crate::long_body::{Long, attach};
use crate::status::status;
use crate::{caller, check};

/// Serves the key space of one member.
#[derive(Clone, Debug)]
pub(crate) struct KvService {
    pub(crate) kv: ferretcd_engine::Kv,
    pub(crate) member: MemberInfo,
    pub(crate) txn_ops_max: usize,
}

impl KvService {
    /// A learner serves serializable reads alone.
    fn reject_on_learner(&self, serializable: bool) -> Result<(), Status> {
        if !serializable && self.member.is_learner() {
            return Err(status(Error::NotSupportedForLearner));
        }
        Ok(())
    }
}

#[async_trait]
impl Kv for KvService {
    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let (caller, request) = caller::split(request);
        self.reject_on_learner(request.serializable)?;
        check::range(&request).map_err(status)?;
        self.kv.range_long(&caller, request).await.map(respond).map_err(status)
    }

    /// Its messages are attached.
    type RangeStreamStream = Empty<Result<RangeStreamResponse, Status>>;

    async fn range_stream(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let (caller, request) = caller::split(request);
        check::range(&request).map_err(status)?;
        check_streamable(&request).map_err(status)?;
        let stream = self.kv.range_stream(&caller, request).await.map_err(status)?;
        let mut response = Response::new(tokio_stream::empty());
        attach(response.extensions_mut(), Long::Stream(Box::new(stream)));
        Ok(response)
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let (caller, request) = caller::split(request);
        check::put(&request).map_err(status)?;
        self.kv.put(&caller, request).await.map(Response::new).map_err(status)
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let (caller, request) = caller::split(request);
        check::delete_range(&request).map_err(status)?;
        self.kv.delete_range_long(&caller, request).await.map(respond).map_err(status)
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let (caller, request) = caller::split(request);
        check::txn(&request, self.txn_ops_max).map_err(status)?;
        self.kv.txn_long(&caller, request).await.map(respond).map_err(status)
    }

    async fn compact(
        &self,
        request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        let (caller, request) = caller::split(request);
        self.kv.compact(&caller, request).await.map(Response::new).map_err(status)
    }
}

/// A stream has no explicit order but the one that it has anyway, and no filters. A sort target alone is none to etcd.
fn check_streamable(request: &RangeRequest) -> Result<(), Untyped> {
    let is_by_key = request.sort_target == SortTarget::Key as i32;
    let is_default_order = request.sort_order == SortOrder::None as i32
        || (is_by_key && request.sort_order == SortOrder::Ascend as i32);
    if !is_default_order {
        return Err(Untyped::RangeStreamSort);
    }
    let filters = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    if filters.iter().any(|revision| *revision != 0) {
        return Err(Untyped::RangeStreamFilter);
    }
    Ok(())
}

/// A message, or an empty one with what is sent in its place.
fn respond<M: Default>(response: KvResponse<M>) -> Response<M> {
    match response {
        KvResponse::Message(message) => Response::new(message),
        KvResponse::Long(long) => {
            let mut response = Response::new(M::default());
            attach(response.extensions_mut(), Long::Message(Box::new(long)));
            response
        }
    }
}
