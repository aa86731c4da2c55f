//! Clients and watchers of the cluster.

mod client;
mod watcher;

pub(crate) use client::Client;
pub(crate) use watcher::{Watcher, WatcherStep};
