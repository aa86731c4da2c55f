//! A server as a library: what the program `ferretcd` does between its flags and its signals.
//!
//! * [`Config`]: typed, plain data; [`Config::new`] has etcd's defaults, [`Config::standalone`] needs no fixed port.
//! * [`Server::builder`] takes it; [`Builder::layer`] and [`Builder::add_service`] mount layers and gRPC services beside
//!   etcd's own; [`Builder::start`] binds the sockets, founds or joins the cluster and opens the data.
//! * [`Server`]: [`ready`](Server::ready), [`ended`](Server::ended), [`stop`](Server::stop); the addresses that are
//!   bound, and the [`Engine`] for requests without a network.
//!
//! It reads no flags, environment or configuration files, catches no signals, installs no logger and never ends the
//! process: its log lines are events of `tracing`. Several servers may run in one process.
//!
//! Invariants: sockets are bound before the data is touched, so a second server on the same ports fails at once; what is
//! wrong with a configuration is an error before anything is written, but for self-signed certificates.
//!
//! ```
//! use ferretcd_api_proto::etcdserverpb::PutRequest;
//! use ferretcd_api_proto::etcdserverpb::kv_client::KvClient;
//! use ferretcd_embed::{Config, Server};
//! use tonic::transport::Channel;
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let dir = tempfile::tempdir()?;
//! let server = Server::builder(Config::standalone(dir.path())).start().await?;
//!
//! let url = server.client_urls()[0].to_string();
//! let mut client = KvClient::new(Channel::from_shared(url)?.connect().await?);
//! let put = PutRequest { key: "greeting".into(), value: "hello".into(), ..PutRequest::default() };
//! let header = client.put(put).await?.into_inner().header.expect("each response has one");
//! assert_eq!(header.revision, 2);
//!
//! server.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod server;

mod bootstrap;
mod certificates;
mod config;
mod listeners;
mod memory;
mod peers;
mod peers_runtime;
mod settings;
mod token_keys;

mod error;

pub use bootstrap::{BootstrapError, JoinError, Unresolved, UrlMismatch};
pub use builder::{Bootstrapped, Builder, Prepared};
pub use config::{
    Advertise, Auth, AutoCompaction, Cluster, ClusterState, Compaction, Config, Http, Limits, Listen, Port,
    PortSecurity, Raft, Security, Storage, TimingError, Tokens, Warnings,
};
pub use error::StartError;
pub use ferretcd_listen::Address;
pub use listeners::{Addresses, ListenError};
pub use server::{End, Server};
pub use token_keys::TokenKeyError;

// What the configuration, the builder and the server have in their signatures.
pub use ferretcd_auth::{
    COST_DEFAULT as BCRYPT_COST_DEFAULT, COST_MAX as BCRYPT_COST_MAX, COST_MIN as BCRYPT_COST_MIN,
};
pub use ferretcd_auth::{SignMethod, TokenSpec, TokenSpecError};
pub use ferretcd_data_dir::{Contents, ContentsError};
pub use ferretcd_discovery as discovery;
pub use ferretcd_discovery::Discovery;
pub use ferretcd_engine::{CorruptionChecks, Engine};
pub use ferretcd_grpc_server::{AuditSink, Handler, IntoHandler, NamedService};
pub use ferretcd_membership::{Url, UrlError, parse_initial_cluster};
pub use ferretcd_tls::{Allowed, CertificateError, KeyFiles, Protocol, ProtocolError, Version as TlsVersion};
pub use ferretcd_ui::Reach;
pub use prometheus::Registry;
