//! The page for people, in a real browser and as its files are served.
//!
//! Etcd has no such page, so these suites run on ferretcd alone. Without Chromium (Debian's package `chromium`) those
//! that need it are skipped.

mod cluster;
mod frame;
mod keys;
mod leases;
mod reach;
mod support;
mod users;
mod watch;
