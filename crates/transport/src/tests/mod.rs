//! Whole transports over loopback, with members that record what they receive.

mod harness;
mod rejections;
mod remotes;
mod removal;
mod rpc;
mod snapshot_fetch;
mod snapshots;
mod streams;
