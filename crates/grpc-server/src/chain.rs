//! The layers around every service, in the order of a request.
//!
//! ```text
//! request ─► deadline ─► layers of users ─► log ─► metrics ─► auth ─► [quota] ─► service
//! ```
//!
//! `server.rs` enforces the deadline, outside of everything, because it has to end the layers too.

use std::sync::Arc;

use ferretcd_base::Threshold;
use ferretcd_engine::Engine;
use ferretcd_interceptors::{
    Auth, AuthLayer, Log, LogConfig, LogLayer, Metrics, MetricsConfig, MetricsLayer, Quota, QuotaConfig,
    QuotaLayer,
};
use ferretcd_listen::Connection;
use prometheus::Registry;
use tower::ServiceBuilder;
use tower::layer::Layer as _;
use tower::layer::util::{Identity, Stack};

use crate::admission::Admission;
use crate::quota_check::QuotaCheck;
use crate::{Config, rpcs};

/// What one operation of a transaction is reckoned to cost beside its bytes; bounds what a request can cost.
const OP_COST: u64 = 256;

/// The innermost layer stands first in the type.
type Common = Stack<AuthLayer<Admission>, Stack<MetricsLayer, Stack<LogLayer, Identity>>>;
/// A service with the layers that all have.
type Wrapped<S> = Log<Metrics<Auth<S, Admission>>>;

/// The layers, ready to be put around services. It is the order of etcd's own chain.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    common: Common,
    quota: QuotaLayer<QuotaCheck>,
}

impl Chain {
    /// Unary calls that take longer than `slow_request` are logged as a warning. Metrics go into `registry`.
    pub(crate) fn register(
        engine: &Engine,
        config: &Config,
        slow_request: Threshold,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let message_bytes_max = config.message_bytes_max();
        let log = LogConfig {
            rpcs: rpcs::RPCS,
            warning_unary_request_duration: slow_request,
            remote: Connection::remote,
        };
        let metrics = MetricsConfig { rpcs: rpcs::RPCS, extensive: config.extensive_metrics };
        let cost_max = message_bytes_max as u64 + OP_COST * config.txn_ops_max as u64;
        let common = ServiceBuilder::new()
            // Outermost, so that rejected calls are logged as well, and with all the time that they took.
            .layer(LogLayer::new(log))
            // Around the checks: calls that are rejected because there is no leader are what alerts look for.
            .layer(MetricsLayer::register(metrics, registry)?)
            .layer(AuthLayer::new(Arc::new(Admission { member: engine.member().clone() })))
            .into_inner();
        // Innermost, because it may read the message ahead, which a rejected caller is not worth; and around the
        // services alone that write, because an alarm must not keep others out.
        let quota = QuotaLayer::new(
            QuotaConfig { request_bytes_max: message_bytes_max },
            Arc::new(QuotaCheck { maintenance: engine.maintenance().clone(), cost_max }),
        );
        Ok(Self { common, quota })
    }

    /// Around a service that adds nothing to the state file.
    pub(crate) fn around<S>(&self, service: S) -> Wrapped<S> {
        self.common.layer(service)
    }

    /// Around a service whose requests may need room in the state file.
    pub(crate) fn around_writes<S>(&self, service: S) -> Wrapped<Quota<S, QuotaCheck>> {
        self.common.layer(self.quota.layer(service))
    }
}
