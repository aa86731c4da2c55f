//! Clients of a cluster's gRPC services.

use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::cluster_client::ClusterClient;
use ferretcd_api_proto::etcdserverpb::kv_client::KvClient;
use ferretcd_api_proto::etcdserverpb::lease_client::LeaseClient;
use ferretcd_api_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use ferretcd_api_proto::etcdserverpb::watch_client::WatchClient;
use ferretcd_client::{Channel, Client, Config, Credentials, Error, Windows};

use crate::Cluster;

/// One connection with a client for each service.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The Cluster service.
    pub cluster: ClusterClient<Channel>,
    /// The KV service.
    pub kv: KvClient<Channel>,
    /// The Lease service.
    pub lease: LeaseClient<Channel>,
    /// The Maintenance service: status, hashes, alarms.
    pub maintenance: MaintenanceClient<Channel>,
    /// The Watch service; [`WatchStream`](crate::WatchStream) is handier.
    pub watch: WatchClient<Channel>,
}

/// A server that doesn't respond in this time fails the suite instead of hanging it.
pub(crate) const RESPONSE_WITHIN: Duration = Duration::from_secs(30);

impl Clients {
    /// Connects to a running cluster. Responses of any size are accepted.
    pub async fn connect(cluster: &impl Cluster) -> Result<Self, Error> {
        Self::connect_to(&cluster.endpoint()).await
    }

    /// Connects to a URL such as `http://127.0.0.1:2379`.
    pub async fn connect_to(url: &str) -> Result<Self, Error> {
        Self::connect_with(Config { request_timeout: Some(RESPONSE_WITHIN), ..Config::new([url]) }).await
    }

    /// Clients that connect at their first request, and again after the connection was lost. A request that takes
    /// longer than `within` fails.
    ///
    /// # Panics
    ///
    /// When `url` is not a URL.
    pub fn lazy(url: &str, within: Duration) -> Self {
        Self::lazy_as(url, within, None)
    }

    /// As [`lazy`](Self::lazy), for a user if the server has authentication enabled.
    ///
    /// # Panics
    ///
    /// When `url` is not a URL.
    pub fn lazy_as(url: &str, within: Duration, credentials: Option<Credentials>) -> Self {
        let (connect_timeout, request_timeout) = (Some(within), Some(within));
        let config = Config { connect_timeout, request_timeout, credentials, ..Config::new([url]) };
        let client = Client::new(config);
        Self::on(client.expect("a URL of a member").channel())
    }

    /// Connects with HTTP/2 windows of 64 KiB per call, the smallest a client can set, and a connection window for
    /// `calls` full ones. This bounds the bytes in flight to a call that stops reading.
    pub async fn connect_narrow(cluster: &impl Cluster, calls: u32) -> Result<Self, Error> {
        const WINDOW: u32 = 65_535;
        let windows = Windows { stream: WINDOW, connection: WINDOW.saturating_mul(calls.saturating_add(1)) };
        let (request_timeout, windows) = (Some(RESPONSE_WITHIN), Some(windows));
        Self::connect_with(Config { request_timeout, windows, ..Config::new([cluster.endpoint()]) }).await
    }

    async fn connect_with(config: Config) -> Result<Self, Error> {
        let client = Client::new(config)?;
        client.connect().await?;
        Ok(Self::on(client.channel()))
    }

    pub(crate) fn on(channel: Channel) -> Self {
        Self {
            cluster: ClusterClient::new(channel.clone()),
            kv: KvClient::new(channel.clone()).max_decoding_message_size(usize::MAX),
            lease: LeaseClient::new(channel.clone()),
            maintenance: MaintenanceClient::new(channel.clone()),
            watch: WatchClient::new(channel).max_decoding_message_size(usize::MAX),
        }
    }
}
