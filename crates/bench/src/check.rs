//! Looks at the store and its members through an ordinary client: did what was acknowledged happen?

use std::net::SocketAddr;

use ferretcd_api_proto::etcdserverpb::kv_client::KvClient;
use ferretcd_api_proto::etcdserverpb::lease_client::LeaseClient;
use ferretcd_api_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use ferretcd_api_proto::etcdserverpb::{
    LeaseRevokeRequest, MoveLeaderRequest, RangeRequest, RangeResponse, StatusRequest, StatusResponse,
};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

use crate::Outcome;
use crate::requests::{LEASED_PREFIX, LEASED_PREFIX_END, PREFIX, PREFIX_END};

/// An ordinary client, for one request at a time.
pub(crate) struct Client {
    runtime: Runtime,
    channel: Channel,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let channel = runtime.block_on(endpoint.connect())?;
        Ok(Self { runtime, channel })
    }

    /// Keys that are attached to leases.
    pub(crate) fn count_leased(&self) -> Outcome<u64> {
        Ok(self.count(LEASED_PREFIX, LEASED_PREFIX_END)?.count.try_into()?)
    }

    pub(crate) fn revoke(&self, lease: i64) -> Outcome<()> {
        let mut client = LeaseClient::new(self.channel.clone());
        self.runtime.block_on(client.lease_revoke(LeaseRevokeRequest { id: lease }))?;
        Ok(())
    }

    pub(crate) fn status(&self) -> Outcome<StatusResponse> {
        let mut client = MaintenanceClient::new(self.channel.clone());
        Ok(self.runtime.block_on(client.status(StatusRequest {}))?.into_inner())
    }

    /// Transfers leadership from the member that requests go to.
    pub(crate) fn move_leader(&self, target_id: u64) -> Outcome<()> {
        let mut client = MaintenanceClient::new(self.channel.clone());
        self.runtime.block_on(client.move_leader(MoveLeaderRequest { target_id }))?;
        Ok(())
    }

    fn count(&self, key: &'static str, range_end: &'static str) -> Outcome<RangeResponse> {
        let (key, range_end) = (key.into(), range_end.into());
        let request = RangeRequest { key, range_end, count_only: true, ..RangeRequest::default() };
        let mut client = KvClient::new(self.channel.clone());
        Ok(self.runtime.block_on(client.range(request))?.into_inner())
    }
}

/// How far a store has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) revision: u64,
    /// Keys that the bench has written.
    pub(crate) keys: u64,
}

impl State {
    pub(crate) fn of(address: SocketAddr) -> Outcome<Self> {
        let response = Client::connect(address)?.count(PREFIX, PREFIX_END)?;
        let revision = response.header.ok_or("an answer without a header")?.revision;
        Ok(Self { revision: revision.try_into()?, keys: response.count.try_into()? })
    }

    /// Is the revision what the responses said?
    pub(crate) fn check_revision(self, expected: u64) -> Outcome<()> {
        if self.revision == expected {
            return Ok(());
        }
        Err(format!("by the answers the store is at revision {expected}, but it is at {}", self.revision)
            .into())
    }

    /// Is this the state that is expected?
    pub(crate) fn check_is(self, expected: State) -> Outcome<()> {
        if self == expected {
            return Ok(());
        }
        Err(format!("by the answers the store is at {expected:?}, but it is at {self:?}").into())
    }

    /// Is the state what `written` new keys, each by a request of its own, make of this one?
    pub(crate) fn check_after(self, written: u64, now: State) -> Outcome<()> {
        let expected = State { revision: self.revision + written, keys: self.keys + written };
        if now == expected {
            return Ok(());
        }
        Err(format!("after {written} acknowledged writes the store is at {now:?}, not at {expected:?}")
            .into())
    }
}
