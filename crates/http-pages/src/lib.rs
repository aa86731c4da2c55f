//! Plain HTTP beside gRPC: health, version, metrics.
//!
//! What load balancers, orchestrators and scrapers see of a member, with etcd's paths, bodies, status codes
//! and metric names. The crate listens nowhere and knows no engine: it makes an [`axum::Router`], and what
//! it has to know about the member it asks through [`Health`].
//!
//! | path | answer |
//! |---|---|
//! | `/health` | alarms, leader and a read, as JSON |
//! | `/livez`, `/readyz`, and `/<check>` below them | named checks, as lines |
//! | `/version` | versions, as JSON |
//! | `/metrics` | everything in the [`Registry`](prometheus::Registry), in Prometheus' text format |
//!
//! [`Gateway`] holds what all listeners share; [`Gateway::router`] makes the pages for one [`Listener`].
//! Answers never depend on credentials, and nothing here changes the member.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use ferretcd_http_pages::{Alarm, BoxFuture, Config, Gateway, Health, Listener, Versions};
//!
//! struct Idle;
//!
//! impl Health for Idle {
//!     fn alarms(&self) -> Vec<Alarm> {
//!         Vec::new()
//!     }
//!     fn has_leader(&self) -> bool {
//!         true
//!     }
//!     fn is_learner(&self) -> bool {
//!         false
//!     }
//!     fn read(&self, _linearizable: bool) -> BoxFuture<'_, Result<(), String>> {
//!         Box::pin(async { Ok(()) })
//!     }
//!     fn versions(&self) -> Versions {
//!         Versions { server: "3.7.1".into(), cluster: Some("3.7.0".into()), storage: None }
//!     }
//! }
//!
//! let config = Config { cors: vec![], host_whitelist: vec![], read_timeout: Duration::from_secs(7) };
//! let gateway = Gateway::register(Arc::new(Idle), config, &prometheus::Registry::new())?;
//! let router: axum::Router = gateway.router(Listener::Plain);
//! # drop(router);
//! # Ok::<(), prometheus::Error>(())
//! ```

mod health;
mod router;

mod checks;
mod health_page;
mod metrics_page;
mod version_page;

mod access;
mod answer;
mod metrics;
mod process;
mod query;

pub use health::{Alarm, AlarmKind, BoxFuture, Health, Versions};
pub use router::{Config, Gateway, Listener};
