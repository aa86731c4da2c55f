//! tower layers for any tonic service: log, metrics, auth, quota, audit.
//!
//! A layer decides from the head of a request and the sizes of its messages which caller sent it and whether it
//! goes on at all. What needs the decoded message is the handler's business. Nothing here knows etcd's engine: a
//! layer gets what it needs through a small trait, and every rejection is a status of the implementor.
//!
//! * [`LogLayer`] writes one line for each unary call, a warning if it was slow.
//! * [`AuthLayer`] calls [`Authenticate`] and leaves [`AuthInfo`] for the handler; [`Metadata`] reads the
//!   request headers that matter to such a check.
//! * [`MetricsLayer`] counts calls, messages and bytes.
//! * [`QuotaLayer`] calls [`Admit`] with the encoded message, when room is short.
//! * [`AuditLayer`] writes one line for each call, of every kind.
//!
//! Layers see no decoded message. Where one wants to know what a request is about, a [`Note`] is among its extensions, and
//! the handler fills it with the message, which [describes](Describe) itself without values and secrets.
//!
//! The order around a service is log, metrics, auth, quota: every call is logged and counted, and nothing is read
//! ahead for a caller that is rejected anyway.
//!
//! The layers work on `http::Request` and `http::Response` with bodies of `Bytes`; each wraps the bodies in
//! types of its own, so a server erases the types once, outside the whole stack. All of them call the
//! service that was polled ready, pass on its `NAME`, and allocate nothing for an anonymous call that is
//! neither logged nor weighed.
//!
//! ```
//! use ferretcd_interceptors::{MetricsConfig, MetricsLayer, Rpc, RpcKind};
//! use tower_layer::Layer;
//!
//! const RPCS: &[Rpc] = &[Rpc::new("/etcdserverpb.KV/Put", RpcKind::Unary)];
//!
//! let registry = prometheus::Registry::new();
//! let metrics = MetricsLayer::register(MetricsConfig { rpcs: RPCS, extensive: false }, &registry)?;
//! # struct KvServer;
//! let kv = metrics.layer(KvServer);
//! # drop(kv);
//! assert!(registry.gather().iter().any(|family| family.name() == "grpc_server_started_total"));
//! # Ok::<(), prometheus::Error>(())
//! ```

mod audit;
mod auth;
mod log;
mod metrics;
mod quota;

mod metadata;
mod note;
mod rpc;
mod subject;

mod body;
mod call_future;
mod framing;
mod quota_body;
mod rejection;
mod request_stats;
mod revision;
mod series;

pub use audit::{
    Audit, AuditConfig, AuditFuture, AuditLayer, AuditSink, AuditTrail, AuditUsers, AuditedCall,
};
pub use auth::{Auth, AuthFuture, AuthInfo, AuthLayer, Authenticate};
pub use call_future::CallFuture;
pub use log::{Log, LogConfig, LogFuture, LogLayer};
pub use metadata::Metadata;
pub use metrics::{Metrics, MetricsConfig, MetricsFuture, MetricsLayer};
pub use note::{Attribute, Content, Describe, Note, Work};
pub use quota::{Admit, Quota, QuotaConfig, QuotaFuture, QuotaLayer};
pub use rejection::Rejection;
pub use rpc::{Rpc, RpcKind};
pub use subject::Subject;
