//! Handshakes between the two ends of the crate, on streams in memory.

mod chains;
mod clients;
mod files;
mod hostile;
mod impostors;
mod reload;
mod self_signed;
mod servers;
mod support;
