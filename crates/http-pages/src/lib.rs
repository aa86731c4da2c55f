//! Plain HTTP beside gRPC: health, version, metrics, profiles.
//!
//! The pages of a member for load balancers, orchestrators and scrapers, with etcd's paths, bodies, status codes
//! and metric names. The crate listens nowhere and knows no engine: it makes an [`axum::Router`] that reads from
//! the member through [`Health`].
//!
//! | path | response |
//! |---|---|
//! | `/health` | alarms, leader and a read, as JSON |
//! | `/livez`, `/readyz`, and `/<check>` below them | named checks, as lines |
//! | `/version` | versions, as JSON |
//! | `/debug/vars` | command line and raft, as JSON |
//! | `/debug/pprof/...` | profiles of the process, if the [`Config`] says so |
//! | `/debug/requests`, `/debug/events` | calls of each method, and a note instead of events, likewise |
//! | `/metrics` | everything in the [`Registry`](prometheus::Registry), in Prometheus' text format, compressed on request |
//!
//! [`Pages`] holds what all listeners share; [`Pages::router`] makes the pages for one [`Audience`].
//! Responses never depend on credentials, and nothing here changes the member.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use ferretcd_http_pages::{Alarm, Audience, BoxFuture, Config, Debug, Health, Pages, Raft, Versions};
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
//!     fn raft(&self) -> BoxFuture<'_, Option<Raft>> {
//!         Box::pin(async { None })
//!     }
//!     fn versions(&self) -> Versions {
//!         Versions { server: "3.7.1".into(), cluster: Some("3.7.0".into()), storage: None }
//!     }
//! }
//!
//! let read_timeout = Duration::from_secs(7);
//! let config = Config { cors: vec![], host_whitelist: vec![], read_timeout, debug: Debug::default() };
//! let pages = Pages::register(Arc::new(Idle), config, &prometheus::Registry::new())?;
//! let router: axum::Router = pages.router(Audience::Clients);
//! # drop(router);
//! # Ok::<(), prometheus::Error>(())
//! ```

mod config;
mod health;
mod router;

mod checks;
mod debug;
mod health_page;
mod metrics_page;
mod negotiation;
mod version_page;

mod access;
mod gate;
mod host;
mod path;

mod metrics;
mod process;
mod query;
mod response;
mod state;

pub use config::{Config, Debug};
pub use gate::Gate;
pub use health::{Alarm, AlarmKind, BoxFuture, Health, Raft, RaftProgress, Versions};
pub use response::{error, redirect};
pub use router::{Audience, Pages};
