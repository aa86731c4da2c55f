//! Errors of a start.

use std::io;
use std::sync::Arc;

use ferretcd_data_dir::ContentsError;
use ferretcd_tls::CertificateError;

use crate::bootstrap::{BootstrapError, JoinError};
use crate::config::TimingError;
use crate::listeners::ListenError;
use crate::token_keys::TokenKeyError;

/// A server that does not start, or that ends before it serves clients.
///
/// The texts name settings as etcd's flags do. Where etcd has a text for an error, it is that one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory can't be used.
    #[error(transparent)]
    Contents(Arc<ContentsError>),
    /// Raft can't run on the clock.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The cluster can't be founded or joined as configured.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The founders are not found.
    #[error(transparent)]
    Discovery(Arc<ferretcd_discovery::Error>),
    /// The running cluster can't be joined.
    #[error(transparent)]
    Join(Arc<JoinError>),
    /// A certificate can't be used.
    #[error(transparent)]
    Certificate(Arc<CertificateError>),
    /// The keys of tokens can't be used.
    #[error(transparent)]
    TokenKeys(Arc<TokenKeyError>),
    /// The threads for other members can't be started.
    #[error("start the threads for other members: {0}")]
    Threads(Arc<io::Error>),
    /// A socket can't be bound.
    #[error(transparent)]
    Listen(Arc<ListenError>),
    /// The member's data can't be used.
    #[error(transparent)]
    Engine(Arc<ferretcd_engine::StartError>),
    /// Metrics can't be registered.
    #[error("register the metrics: {0}")]
    Metrics(Arc<prometheus::Error>),
    /// The cluster has removed the member.
    #[error("the member has been removed from its cluster")]
    Removed,
    /// The member has failed, for this reason.
    #[error("{0}")]
    Failed(String),
}

/// Converts from errors that can't be cloned.
macro_rules! shared {
    ($($variant:ident: $error:ty),* $(,)?) => {$(
        impl From<$error> for StartError {
            fn from(error: $error) -> Self {
                Self::$variant(Arc::new(error))
            }
        }
    )*};
}

shared! {
    Contents: ContentsError,
    Discovery: ferretcd_discovery::Error,
    Join: JoinError,
    Certificate: CertificateError,
    TokenKeys: TokenKeyError,
    Listen: ListenError,
    Engine: ferretcd_engine::StartError,
    Metrics: prometheus::Error,
}
