//! A member through its public surface, in directories of its own.

mod compaction;
mod damage;
mod defragment;
mod directory;
mod durable;
mod lease;
mod lease_storm;
mod log;
mod metrics;
mod quota;
mod requests;
mod support;
mod watch;
