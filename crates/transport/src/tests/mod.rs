//! Whole transports over loopback, with members that only take notes.

mod harness;
mod questions;
mod refusals;
mod removal;
mod snapshots;
mod states;
mod strangers;
mod streams;
