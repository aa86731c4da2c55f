//! A client that sends a token.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::{MessageCodec, etcdserverpb::AuthenticateRequest};
use ferretcd_client::{Channel, Client, Config, Rpc};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Request, Status};

use crate::client::RESPONSE_WITHIN;
use crate::{Clients, Renewals, WatchStream};

/// A client of one endpoint that sends the same metadata with each call, such as a token, and nothing else about a
/// user. It connects at its first call; clones share the connection.
#[derive(Clone, Debug)]
pub struct Caller {
    channel: Channel,
    metadata: MetadataMap,
}

impl Caller {
    /// A client without a token.
    ///
    /// # Panics
    ///
    /// When `url` is not a URL.
    pub fn of(url: &str) -> Self {
        Self::with_config(Config::new([url]))
    }

    /// A client without a token. It waits for responses as long as all others of this crate.
    ///
    /// # Panics
    ///
    /// When the endpoints are no URLs.
    pub fn with_config(config: Config) -> Self {
        let limit = Some(RESPONSE_WITHIN);
        let client = Client::new(Config { connect_timeout: limit, request_timeout: limit, ..config });
        Self { channel: client.expect("endpoints are URLs").channel(), metadata: MetadataMap::new() }
    }

    /// The same connection with this token and no other metadata.
    pub fn with_token(&self, token: &str) -> Self {
        self.with(&[("token", token)])
    }

    /// The same connection with this metadata and no other.
    ///
    /// # Panics
    ///
    /// When a value can't be sent as metadata.
    pub fn with(&self, metadata: &[(&'static str, &str)]) -> Self {
        let mut map = MetadataMap::new();
        for (name, value) in metadata {
            let value = AsciiMetadataValue::try_from(*value).expect("values are printable");
            map.append(*name, value);
        }
        Self { channel: self.channel.clone(), metadata: map }
    }

    /// The token, empty if there is none.
    pub fn token(&self) -> &str {
        self.metadata.get("token").map_or("", |token| token.to_str().expect("tokens are printable"))
    }

    /// Sends a request. The type of the request decides the method.
    pub async fn call<R: Rpc>(&self, message: R) -> Result<R::Response, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        let codec = MessageCodec::<R, R::Response>::default();
        let path = PathAndQuery::from_static(R::PATH);
        Ok(grpc.unary(self.request(message), path, codec).await?.into_inner())
    }

    /// The same connection with a new token of this user.
    pub async fn log_in(&self, user: &str, password: &str) -> Result<Self, Status> {
        let request = AuthenticateRequest { name: user.to_owned(), password: password.to_owned() };
        let response = self.with(&[]).call(request).await?;
        Ok(self.with_token(&response.token))
    }

    /// Begins a watch stream.
    pub fn watch(&self) -> WatchStream {
        WatchStream::open_with(&Clients::on(self.channel.clone()), self.metadata.clone())
    }

    /// Begins a keep-alive stream for these leases, at least one.
    pub async fn renew(&self, ids: &[i64]) -> Result<Renewals, Status> {
        let mut clients = Clients::on(self.channel.clone());
        Renewals::begin_with(&mut clients.lease, ids, self.metadata.clone()).await
    }

    /// Reads a snapshot to its end and returns its length in bytes.
    pub async fn snapshot(&self) -> Result<usize, Status> {
        let mut clients = Clients::on(self.channel.clone());
        let mut parts =
            clients.maintenance.snapshot(self.request(pb::SnapshotRequest {})).await?.into_inner();
        let mut length = 0;
        while let Some(part) = parts.message().await? {
            length += part.blob.len();
        }
        Ok(length)
    }

    /// Reads a range as a stream and returns the number of its rows.
    pub async fn range_stream(&self, range: pb::RangeRequest) -> Result<usize, Status> {
        let mut clients = Clients::on(self.channel.clone());
        let mut parts = clients.kv.range_stream(self.request(range)).await?.into_inner();
        let mut rows = 0;
        while let Some(part) = parts.message().await? {
            rows += part.range_response.map_or(0, |response| response.kvs.len());
        }
        Ok(rows)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request
    }
}
