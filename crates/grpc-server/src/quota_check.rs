//! Whether the state file has room for what a request would add.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{PutRequest, TxnRequest};
use ferretcd_engine::Maintenance;
use ferretcd_interceptors::{Admit, Rejection};
use prost::Message;

use crate::rpcs;
use crate::status::status;

/// Compares requests with the quota of the state file.
#[derive(Clone, Debug)]
pub(crate) struct QuotaCheck {
    pub(crate) maintenance: Maintenance,
    /// More than any request can be reckoned to cost, in bytes.
    pub(crate) cost_max: u64,
}

impl Admit for QuotaCheck {
    fn near_limit(&self, path: &str) -> bool {
        matches!(path, rpcs::PUT | rpcs::TXN | rpcs::LEASE_GRANT)
            && self.maintenance.quota_room().is_some_and(|room| room <= self.cost_max)
    }

    fn admit(&self, path: &str, message: &Bytes) -> Result<(), Rejection> {
        let cost = match path {
            rpcs::LEASE_GRANT => Ok(ferretcd_apply::GRANT_COST),
            rpcs::PUT => PutRequest::decode(message.clone()).map(|put| ferretcd_apply::put_cost(&put)),
            _ => TxnRequest::decode(message.clone()).map(|txn| ferretcd_apply::txn_cost(&txn)),
        };
        // The service rejects what does not decode.
        if cost.is_ok_and(|cost| !self.maintenance.admits(cost)) {
            let maintenance = self.maintenance.clone();
            return Err(Rejection::after(async move { status(maintenance.quota_exceeded().await) }));
        }
        Ok(())
    }
}
