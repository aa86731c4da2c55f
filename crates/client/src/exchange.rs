//! One unary rpc on a connection.

use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::time::timeout;
use tonic::Request;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use crate::connection::Connection;
use crate::{Error, Rpc};

/// As in etcd's own client, responses are not limited.
const RESPONSE_BYTES_MAX: usize = i32::MAX as usize;

/// Sends a request on a connection and waits for the response.
pub(crate) async fn exchange<R: Rpc>(
    connection: Connection,
    request: R,
    limit: Option<Duration>,
) -> Result<R::Response, Error> {
    let path = PathAndQuery::from_static(R::PATH);
    let mut grpc = Grpc::new(connection).max_decoding_message_size(RESPONSE_BYTES_MAX);
    let call = grpc.unary(Request::new(request), path, ProstCodec::<R, R::Response>::default());
    let outcome = match limit {
        Some(limit) => timeout(limit, call).await.map_err(|_| Error::Timeout)?,
        None => call.await,
    };
    outcome.map(tonic::Response::into_inner).map_err(|status| Error::of_call(R::PATH, &status))
}
