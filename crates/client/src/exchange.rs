//! One unary rpc on a connection.

use http::uri::PathAndQuery;
use tokio::time::timeout;
use tonic::Request;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use crate::connection::Connection;
use crate::{Config, Error, Rpc};

/// Sends a request on a connection and waits for the response.
pub(crate) async fn exchange<R: Rpc>(
    connection: Connection,
    request: R,
    config: &Config,
) -> Result<R::Response, Error> {
    let path = PathAndQuery::from_static(R::PATH);
    let mut grpc = Grpc::new(connection).max_decoding_message_size(config.response_bytes_max);
    let call = grpc.unary(Request::new(request), path, ProstCodec::<R, R::Response>::default());
    let outcome = match config.request_timeout {
        Some(limit) => timeout(limit, call).await.map_err(|_| Error::Timeout)?,
        None => call.await,
    };
    outcome.map(tonic::Response::into_inner).map_err(|status| Error::of_call(R::PATH, &status))
}
