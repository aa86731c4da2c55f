//! The etcd v3 services on an engine.
//!
//! One file per service, a directory for those with streams; handlers check the form of a request, call the
//! [`Engine`](ferretcd_engine::Engine) and respond. The layers of [`ferretcd_interceptors`] stand around them in the
//! order of etcd's own chain, which is `chain.rs`. One file, `status.rs`, turns errors into statuses.
//!
//! * [`Server`]: all services of one member as one tower service; [`Server::layer`] and [`Server::add_service`] mount
//!   layers and services of a user, [`Server::endpoint`] puts it behind a listener of [`ferretcd_listen`].
//! * [`Exposure`]: which of them a port shows. Where there are pages as well, the calls can be made by JSON too:
//!   [`ferretcd_gateway`] calls the same services, with the same layers, in the same process.
//! * [`ferretcd_ui`] is there as well, behind the same gate as the pages.
//! * [`Config`]: plain data.

mod config;
mod protocol;
mod server;

mod admission;
mod audit;
mod calls;
mod chain;
mod compression;
mod gateway;
mod methods;
mod quota_check;
mod request_body;
mod rpcs;

mod auth;
mod cluster;
mod health;
mod health_list;
mod kv;
mod lease;
mod maintenance;
mod snapshot;
mod watch;

mod caller;
mod check;
mod deadline;
mod describe;
mod end_on_drain;
mod library_errors;
mod long_body;
mod responses;
mod status;
mod stream_failures;
mod work;

pub use config::Config;
pub use ferretcd_interceptors::AuditSink;
pub use methods::{Handler, IntoHandler};
pub use request_body::RequestBody;
pub use server::{Exposure, Server};
pub use tonic::server::NamedService;
