//! Looks at the store and its members through an ordinary client: did what was acknowledged happen?

use std::net::SocketAddr;

use ferretcd_api_proto::etcdserverpb::{
    DeleteRangeRequest, LeaseRevokeRequest, MoveLeaderRequest, RangeRequest, RangeResponse, StatusRequest,
    StatusResponse,
};
use ferretcd_client::{Config, Credentials, Rpc};
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::requests::{
    LEASED_PREFIX, LEASED_PREFIX_END, LISTED_PREFIX, LISTED_PREFIX_END, PREFIX, PREFIX_END, key, listed_key,
};

/// An ordinary client, for one request at a time.
pub(crate) struct Client {
    runtime: Runtime,
    client: ferretcd_client::Client,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Outcome<Self> {
        Self::connect_as(None, address)
    }

    /// Logs in, too, where there is a user and the server asks for one.
    pub(crate) fn connect_as(credentials: Option<Credentials>, address: SocketAddr) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let config = Config { credentials, ..Config::new([address.to_string()]) };
        let client = ferretcd_client::Client::new(config)?;
        runtime.block_on(client.connect())?;
        Ok(Self { runtime, client })
    }

    /// Keys that are attached to leases.
    pub(crate) fn count_leased(&self) -> Outcome<u64> {
        Ok(self.count(LEASED_PREFIX, LEASED_PREFIX_END, 0)?.count.try_into()?)
    }

    /// Listed keys at a revision, or with 0 at the one of the moment.
    pub(crate) fn count_listed(&self, revision: i64) -> Outcome<u64> {
        Ok(self.count(LISTED_PREFIX, LISTED_PREFIX_END, revision)?.count.try_into()?)
    }

    /// Deletes the listed keys from this number on.
    pub(crate) fn delete_listed_from(&self, number: u64) -> Outcome<()> {
        let (key, range_end) = (listed_key(number).into(), LISTED_PREFIX_END.into());
        self.call(DeleteRangeRequest { key, range_end, ..DeleteRangeRequest::default() }).map(drop)
    }

    /// Deletes the keys of the bench from this number on.
    pub(crate) fn delete_from(&self, number: u64) -> Outcome<()> {
        let (key, range_end) = (key(number).into(), PREFIX_END.into());
        self.call(DeleteRangeRequest { key, range_end, ..DeleteRangeRequest::default() }).map(drop)
    }

    pub(crate) fn revoke(&self, lease: i64) -> Outcome<()> {
        self.call(LeaseRevokeRequest { id: lease }).map(drop)
    }

    /// How far the store has come.
    pub(crate) fn state(&self) -> Outcome<State> {
        let response = self.count(PREFIX, PREFIX_END, 0)?;
        let revision = response.header.ok_or("an answer without a header")?.revision;
        Ok(State { revision: revision.try_into()?, keys: response.count.try_into()? })
    }

    pub(crate) fn status(&self) -> Outcome<StatusResponse> {
        self.call(StatusRequest {})
    }

    /// Transfers leadership from the member that requests go to.
    pub(crate) fn move_leader(&self, target_id: u64) -> Outcome<()> {
        self.call(MoveLeaderRequest { target_id }).map(drop)
    }

    fn count(&self, key: &'static str, range_end: &'static str, revision: i64) -> Outcome<RangeResponse> {
        let (key, range_end) = (key.into(), range_end.into());
        self.call(RangeRequest { key, range_end, count_only: true, revision, ..RangeRequest::default() })
    }

    pub(crate) fn call<R: Rpc>(&self, request: R) -> Outcome<R::Response> {
        Ok(self.runtime.block_on(self.client.call(request))?)
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
        Client::connect(address)?.state()
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
