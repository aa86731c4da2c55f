//! What the tests of several crates share, and nothing that a server contains.
//!
//! * [`Random`]: numbers that a seed repeats.
//! * [`grpc`]: messages as gRPC frames them, for tests of the wire.
//! * [`slow_disk`]: a disk that takes long to sync.
//! * [`certificates`] (feature): an authority that signs whatever a test needs.
//! * [`chains`] (feature `certificates`): chains of certificates of all kinds, and what etcd says of them.
//! * [`history`] and [`watch_history`] (feature `history`): whether the responses of a cluster, and the events of its
//!   watches, are those of one store.
//!
//! It knows no crate above the words (`api-proto`), so that the tests of every crate may use it.

mod random;

pub mod grpc;
pub mod slow_disk;

#[cfg(feature = "certificates")]
pub mod certificates;
#[cfg(feature = "certificates")]
pub mod chains;
#[cfg(feature = "history")]
pub mod history;
#[cfg(feature = "history")]
pub mod watch_history;

pub use random::Random;
