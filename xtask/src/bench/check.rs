//! Looks at the store through an ordinary client: did what was acknowledged happen?

use std::net::SocketAddr;

use api_proto::etcdserverpb::RangeRequest;
use api_proto::etcdserverpb::kv_client::KvClient;
use tonic::transport::Endpoint;

use super::Outcome;
use super::requests::{PREFIX, PREFIX_END};

/// How far a store has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) revision: u64,
    /// Keys that the bench has written.
    pub(super) keys: u64,
}

impl State {
    pub(super) fn of(address: SocketAddr) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let response = runtime.block_on(async {
            let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
            let mut client = KvClient::new(channel);
            let (key, range_end) = (PREFIX.into(), PREFIX_END.into());
            let request = RangeRequest { key, range_end, count_only: true, ..RangeRequest::default() };
            Outcome::Ok(client.range(request).await?.into_inner())
        })?;
        let revision = response.header.ok_or("an answer without a header")?.revision;
        Ok(Self { revision: revision.try_into()?, keys: response.count.try_into()? })
    }

    /// Is the revision what the answers said?
    pub(super) fn check_revision(self, expected: u64) -> Outcome<()> {
        if self.revision == expected {
            return Ok(());
        }
        Err(format!("by the answers the store is at revision {expected}, but it is at {}", self.revision)
            .into())
    }

    /// Is the state what `written` new keys, each by a request of its own, make of this one?
    pub(super) fn check_after(self, written: u64, now: State) -> Outcome<()> {
        let expected = State { revision: self.revision + written, keys: self.keys + written };
        if now == expected {
            return Ok(());
        }
        Err(format!("after {written} acknowledged writes the store is at {now:?}, not at {expected:?}")
            .into())
    }
}
