//! Unary calls.

use std::time::Duration;

use http::uri::PathAndQuery;
use tokio::time::timeout;
use tonic::Request;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;

use crate::connection::Connection;
use crate::{Channel, Config, Error, Rpc};

/// As in etcd's own client, responses are not limited.
const RESPONSE_BYTES_MAX: usize = i32::MAX as usize;

/// A client of a cluster. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
}

impl Client {
    /// A client that connects when it is used.
    ///
    /// # Errors
    ///
    /// When there is no endpoint, one is malformed, or one is encrypted and there is no TLS.
    pub fn new(config: Config) -> Result<Self, Error> {
        Ok(Self { channel: Channel::new(config)? })
    }

    /// Connects, and authenticates the user if there is one.
    ///
    /// # Errors
    ///
    /// When no endpoint can be reached, or the user is rejected.
    pub async fn connect(&self) -> Result<(), Error> {
        self.channel.connection().await.map(drop)
    }

    /// The connection, for a generated client.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Sends a request and waits for the response.
    ///
    /// # Errors
    ///
    /// When no endpoint can be reached, the connection breaks, the time is over or the server rejects the request.
    pub async fn call<R: Rpc>(&self, request: R) -> Result<R::Response, Error> {
        let config = self.channel.config();
        let mut n_more = if config.retry_reads && R::IS_READ { config.endpoints.len() - 1 } else { 0 };
        loop {
            let (connection, dial) = self.channel.connection().await?;
            let outcome = exchange(connection, request.clone(), config.request_timeout).await;
            match &outcome {
                Err(error) if error.is_of_member() && n_more > 0 => self.channel.leave(&dial),
                Err(error) if error.is_of_connection() => {
                    self.channel.give_up(&dial);
                    return outcome;
                }
                _ => return outcome,
            }
            n_more -= 1;
        }
    }
}

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
