//! Requests that go through the log, each with the type of its response.

use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, CompactionRequest, CompactionResponse, DeleteRangeRequest,
    DeleteRangeResponse, LeaseCheckpointRequest, LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest,
    LeaseRevokeResponse, PutRequest, PutResponse, ResponseHeader, TxnRequest, TxnResponse,
};
use ferretcd_api_proto::ferretcdpb::LeaseExpireRequest;
use ferretcd_api_proto::membershippb::{ClusterMemberAttrSetRequest, ClusterVersionSetRequest};
use ferretcd_apply::{Alarm, Kind, PartialResponse, Request, Response};
use ferretcd_base::LeaseId;

/// A request that the state machine executes.
pub(crate) trait ReplicatedRequest: Send {
    /// What it is.
    const KIND: Kind;
    /// What the proposer gets when it is executed.
    type Response;

    fn into_request(self) -> Request;

    /// The response of the state machine, with its header. `None` for a response to another kind of request.
    fn response(response: Response, header: ResponseHeader) -> Option<Self::Response>;
}

/// For each kind of request: its response, and how that is made of the state machine's response and the header.
macro_rules! replicated {
    ($($kind:ident($request:ty) => $response:ty: |$outcome:pat, $header:ident| $made:expr;)*) => {$(
        impl ReplicatedRequest for $request {
            const KIND: Kind = Kind::$kind;
            type Response = $response;

            fn into_request(self) -> Request {
                Request::$kind(self)
            }

            fn response(response: Response, $header: ResponseHeader) -> Option<Self::Response> {
                match response {
                    $outcome => Some($made),
                    _ => None,
                }
            }
        }
    )*};
}

replicated! {
    Put(PutRequest) => PutResponse:
        |Response::Put(put), header| PutResponse { header: Some(header), ..put };
    DeleteRange(DeleteRangeRequest) => PartialResponse<DeleteRangeResponse>:
        |Response::DeleteRange(delete), header| delete.map(|delete| DeleteRangeResponse { header: Some(header), ..delete });
    Txn(TxnRequest) => PartialResponse<TxnResponse>:
        |Response::Txn(txn), header| txn.map(|txn| TxnResponse { header: Some(header), ..txn });
    Compaction(CompactionRequest) => CompactionResponse:
        |Response::Compaction { .. }, header| CompactionResponse { header: Some(header) };
    LeaseGrant(LeaseGrantRequest) => LeaseGrantResponse:
        |Response::LeaseGrant { id, ttl }, header| LeaseGrantResponse {
            header: Some(header),
            id: id.0,
            ttl,
            ..LeaseGrantResponse::default()
        };
    LeaseRevoke(LeaseRevokeRequest) => LeaseRevokeResponse:
        |Response::LeasesRevoked(_), header| LeaseRevokeResponse { header: Some(header) };
    LeaseExpire(LeaseExpireRequest) => Vec<LeaseId>:
        |Response::LeasesRevoked(ended), _header| ended;
    LeaseCheckpoint(LeaseCheckpointRequest) => ():
        |Response::LeasesCheckpointed(_), _header| ();
    Alarm(AlarmRequest) => AlarmResponse:
        |Response::Alarm(alarms), header| AlarmResponse {
            header: Some(header),
            alarms: alarms.into_iter().map(Alarm::to_message).collect(),
        };
    ClusterVersionSet(ClusterVersionSetRequest) => ():
        |Response::Done, _header| ();
    ClusterMemberAttrSet(ClusterMemberAttrSetRequest) => ():
        |Response::Done, _header| ();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_get_their_header() {
        let header = ResponseHeader { revision: 7, ..ResponseHeader::default() };
        let put = PutRequest::response(Response::Put(PutResponse::default()), header);
        assert_eq!(put.and_then(|put| put.header), Some(header));
        let grant = Response::LeaseGrant { id: LeaseId(5), ttl: 60 };
        let grant = LeaseGrantRequest::response(grant, header).expect("a grant");
        assert_eq!((grant.header, grant.id, grant.ttl), (Some(header), 5, 60));
    }

    #[test]
    fn response_to_another_kind_of_request_is_none() {
        let other = Response::Put(PutResponse::default());
        assert!(DeleteRangeRequest::response(other.clone(), ResponseHeader::default()).is_none());
        assert_eq!(ClusterVersionSetRequest::response(other, ResponseHeader::default()), None);
    }
}
