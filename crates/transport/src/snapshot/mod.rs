//! Snapshots between members: one request each, streamed from disk to disk.
//!
//! ```text
//! image ──Read──► thread ──chunks──► POST /raft/snapshot ~~~ body ──chunks──► thread ──Read──► file
//! ```
//!
//! Both channels hold a few chunks. So the sender reads no faster than the receiver stores, and the memory of a snapshot
//! does not depend on its size.

mod body;
mod chunks;
mod fetch;
mod mark;
mod receive;
mod send;

pub(crate) use body::discard;
pub(crate) use fetch::{AT_LEAST, INDEX, PATH, TERM, fetch};
pub(crate) use receive::receive;
pub(crate) use send::{open, run};
