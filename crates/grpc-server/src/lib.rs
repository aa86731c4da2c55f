//! The etcd v3 services on an engine, and the port they are served on.
//!
//! One file per service, a directory for those with streams; handlers check the form of a request, call the
//! [`Engine`](ferretcd_engine::Engine) and answer. The layers of [`interceptors`] stand around them in the order of
//! etcd's own chain: log, auth, metrics, and quota around the key space alone. One file, `status.rs`, turns
//! errors into statuses.
//!
//! * [`Server`]: all services of one member as one tower service; [`Server::map`] puts layers of one's own
//!   around it.
//! * [`serve`]: accepts connections on each [`Endpoint`], with TLS or without, speaks HTTP/1 and HTTP/2 on one port,
//!   drains when told to stop.
//! * [`Config`]: plain data.

mod accept;
mod admit;
mod authority;
mod check;
mod cluster;
mod coalesce;
mod config;
mod deadline;
mod door;
mod drain;
mod health;
mod kv;
mod lease;
mod maintenance;
mod responses;
mod rpcs;
mod server;
mod snapshot;
mod status;
mod stream;
mod texts;
mod turns;
mod watch;

pub use accept::{Endpoint, next_connection, serve};
pub use config::Config;
pub use server::{Face, Handler, Server};
