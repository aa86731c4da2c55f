//! Whole transports over loopback, with members that only take notes.

mod harness;
mod rejections;
mod remotes;
mod removal;
mod rpc;
mod snapshot_fetch;
mod snapshots;
mod streams;
