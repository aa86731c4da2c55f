//! A client of etcd's gRPC services: endpoints, TLS, tokens, failover.
//!
//! * [`Client`], from a [`Config`]: one connection to the first endpoint that can be reached, made when a request needs
//!   it. [`Client::call`] sends any unary [`Rpc`]: the type of the request decides method and response.
//! * [`Channel`]: the same connection as a tower service, on which the generated clients of `ferretcd-api-proto` run.
//!   Streams (watch, keep-alive, snapshot) are opened there.
//! * [`Error`]: a failed call in terms of gRPC, without a type of the gRPC library.
//!
//! Invariants:
//!
//! * A request is sent at most once, unless it is a read and [`Config::retry_reads`] is set. A read whose connection
//!   fails, or whose member is unavailable, is sent again to the next endpoint, once to each.
//! * A connection that has failed is never used again. The next request makes a new one.
//! * With [`Config::credentials`] every connection has a token of its own before its first request.
//!
//! It knows no leases, no watches and no data: what a response means is left to the caller.
//!
//! ```no_run
//! use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeRequest};
//! use ferretcd_client::{Client, Config};
//!
//! # async fn example() -> Result<(), ferretcd_client::Error> {
//! let client = Client::new(Config::new(["http://127.0.0.1:2379", "http://127.0.0.1:22379"]))?;
//! client.call(PutRequest { key: "k".into(), value: "v".into(), ..PutRequest::default() }).await?;
//! let response = client.call(RangeRequest { key: "k".into(), ..RangeRequest::default() }).await?;
//! assert_eq!(response.kvs.len(), 1);
//! # Ok(())
//! # }
//! ```

mod client;
mod config;
mod error;
mod rpc;

mod channel;
mod connection;
mod endpoint;
mod exchange;
mod login;
mod malformed;

pub use channel::Channel;
pub use client::Client;
pub use config::{Config, Credentials, KeepAlive, Windows};
pub use error::Error;
pub use rpc::Rpc;
