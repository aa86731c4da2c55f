//! Founders by a registry in another cluster, with the rows and in the order of etcd's v3 discovery.
//!
//! Each founder puts its row, and those whose rows were created first are the cluster. etcd watches for the other rows.
//! Here the rows are read again until the last founder has registered, which needs no stream.

use std::time::Duration;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeRequest};
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_base::MemberId;
use ferretcd_client::{Client, Config, Error, KeepAlive};
use ferretcd_flags::go_duration;
use ferretcd_tls::{CertificateError, ClientConfig, ClientTls};
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::founders::{Founders, Keys, RowsError, size};
use crate::{Members, Registry, RegistryTls};

/// Between two reads of the rows.
const READ_PAUSE: Duration = Duration::from_millis(500);
/// Responses have a few rows.
const RESPONSE_BYTES_MAX: usize = 4 << 20;
/// Doublings of the pause after calls that failed: 2 s to 256 s, as in etcd.
const DOUBLINGS_MAX: u32 = 8;

/// A registry without a cluster for this member.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The rows make no cluster, or one of others.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// Certificates can't be used.
    #[error(transparent)]
    Tls(#[from] CertificateError),
    /// A request fails in a way that no retry can change.
    #[error(transparent)]
    Call(#[from] Error),
    /// A row can't be decoded.
    #[error("read a row of the registry: {0}")]
    Decode(prost::DecodeError),
}

/// Registers this member with `entry`, which is `name=url,name=url`, and waits until all founders are there. Calls that
/// fail are retried for ever.
pub(super) async fn join(registry: &Registry, own: MemberId, entry: &str) -> Result<Members, RegistryError> {
    info!("Bootstrapping cluster using v3 discovery.");
    let joined = match Registration::new(registry) {
        Ok(mut registration) => registration.join(own, entry).await,
        Err(problem) => Err(problem),
    };
    let (token, endpoints) = (&*registry.token, registry.endpoints.join(","));
    match &joined {
        Ok(members) => info!(
            "discovery-token" = token,
            "discovery-endpoints" = endpoints,
            members = members.len(),
            "discovery joined cluster successfully"
        ),
        Err(problem) => {
            error!(
                "discovery-token" = token,
                "discovery-endpoints" = endpoints,
                error = %problem,
                "discovery failed to join cluster"
            );
            if let RegistryError::Rows(RowsError::Full) = problem {
                warn!(
                    "discovery-token" = token,
                    "discovery-endpoints" = endpoints,
                    "failed to bootstrap; discovery token was already used"
                );
                warn!("do not reuse discovery token; generate a new one to bootstrap a cluster");
            }
        }
    }
    joined
}

/// The registration of this member.
struct Registration {
    keys: Keys,
    client: Client,
    /// Calls that have failed in a row.
    failures: u32,
    /// The keys of the founders that have been logged.
    shown: Vec<String>,
}

impl Registration {
    fn new(registry: &Registry) -> Result<Self, RegistryError> {
        let (keys, client) = (Keys::new(&registry.token), client(registry)?);
        Ok(Self { keys, client, failures: 0, shown: Vec::new() })
    }

    async fn join(&mut self, own: MemberId, entry: &str) -> Result<Members, RegistryError> {
        let own_key = self.keys.member(own);
        // Before the put: a row too many would stay.
        self.read(&own_key).await?;
        self.register(&own_key, entry).await?;
        let mut is_logged = false;
        loop {
            let (size, founders) = self.read(&own_key).await?;
            let found = founders.len();
            if found >= size {
                info!(
                    clusterSize = size,
                    "found-peers" = found,
                    "found all needed peers from discovery service"
                );
                return Ok(founders.cluster(size)?);
            }
            if !std::mem::replace(&mut is_logged, true) {
                info!(clusterSize = size, "found-peers" = found, "waiting for peers from discovery service");
            }
            sleep(READ_PAUSE).await;
        }
    }

    /// The number of founders that are needed, and those that have registered. Errs if they leave no place for this member.
    async fn read(&mut self, own_key: &str) -> Result<(usize, Founders), RegistryError> {
        let (size_key, members_key) = (self.keys.size(), self.keys.members());
        let row = self.rows(&size_key, false, "failed to get cluster size from discovery service").await?;
        let size = size(row.first().map(|row| &*row.value))?;
        let rows =
            self.rows(&members_key, true, "failed to get cluster members from discovery service").await?;
        let founders = Founders::read(rows);
        for founder in founders.iter().filter(|founder| !self.shown.contains(&founder.key)) {
            let found = if founder.key == own_key { "found self" } else { "found peer" };
            info!(memberKey = founder.key, memberInfo = founder.entry, "{found} from discovery service");
        }
        self.shown = founders.iter().map(|founder| founder.key.clone()).collect();
        founders.check_room(size, own_key)?;
        Ok((size, founders))
    }

    async fn register(&mut self, key: &str, entry: &str) -> Result<(), RegistryError> {
        let request = PutRequest {
            key: bytes(key.as_bytes()),
            value: bytes(entry.as_bytes()),
            ..PutRequest::default()
        };
        loop {
            match self.client.call(request.clone()).await {
                Ok(_) => break,
                Err(problem) => {
                    warn!(
                        memberKey = key,
                        error = %problem,
                        "failed to register members itself to the discovery service"
                    );
                    self.pause(problem, "register member itself").await?;
                }
            }
        }
        self.failures = 0;
        info!(memberKey = key, memberInfo = entry, "register member itself successfully");
        Ok(())
    }

    /// The row of a key, or all rows whose keys begin with it.
    async fn rows(&mut self, key: &str, all: bool, failed: &str) -> Result<Vec<KeyValue>, RegistryError> {
        let range_end = if all { behind(key) } else { Bytes::new() };
        let request = RangeRequest { key: bytes(key.as_bytes()), range_end, ..RangeRequest::default() };
        loop {
            match self.client.call(request.clone()).await {
                Ok(response) => {
                    self.failures = 0;
                    let rows = response.kvs.iter().map(|row| row.decode());
                    return rows.collect::<Result<_, _>>().map_err(RegistryError::Decode);
                }
                Err(problem) => {
                    warn!(key, error = %problem, "{failed}");
                    self.pause(problem, "cluster status check").await?;
                }
            }
        }
    }

    /// Waits before the next attempt, the longer the more have failed; that one connects anew. Returns the errors that
    /// no attempt can change.
    async fn pause(&mut self, error: Error, step: &str) -> Result<(), RegistryError> {
        if let Error::Authenticate { .. } = error {
            return Err(RegistryError::Call(error));
        }
        self.client.disconnect();
        self.failures += 1;
        let backoff = Duration::from_secs(1 << self.failures.min(DOUBLINGS_MAX));
        warn!(reason = step, backoff = go_duration(backoff), "retry connecting to discovery service");
        sleep(backoff).await;
        Ok(())
    }
}

/// Reads the files for TLS, if it is used. The client connects at its first request.
fn client(registry: &Registry) -> Result<Client, RegistryError> {
    let tls = client_tls(&registry.tls.clone().unwrap_or_default())?;
    let timeout = registry.keepalive_timeout;
    let client = Client::new(Config {
        tls: Some(tls),
        encrypts_by_default: registry.tls.is_some(),
        connect_timeout: Some(registry.dial_timeout),
        request_timeout: Some(registry.request_timeout),
        response_bytes_max: RESPONSE_BYTES_MAX,
        keep_alive: registry.keepalive_interval.map(|interval| KeepAlive { interval, timeout }),
        credentials: registry.credentials.clone(),
        // The pauses between attempts are the registration's, and each failure is logged.
        retry_reads: false,
        ..Config::new(registry.endpoints.iter().cloned())
    });
    Ok(client?)
}

fn client_tls(settings: &RegistryTls) -> Result<ClientTls, CertificateError> {
    let tls = ClientTls::load(ClientConfig {
        files: settings.files.clone(),
        trusted_ca: settings.trusted_ca.clone(),
        insecure_skip_verify: settings.insecure_skip_verify,
        alpn: vec![b"h2".to_vec()],
        ..ClientConfig::default()
    });
    tls.map_err(|error| CertificateError::new(error, &settings.named_files()))
}

fn bytes(text: &[u8]) -> Bytes {
    Bytes::copy_from_slice(text)
}

/// The first key behind all that begin with this one.
fn behind(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}
