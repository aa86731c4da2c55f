//! The calls of the table, service by service.

mod auth;
mod cluster;
mod kv;
mod lease;
mod maintenance;
mod watch;

use ferretcd_tests::Cluster;

use super::column::{Column, Recorder};
use super::world::{Identity, World};

/// Makes all calls with one identity.
pub(super) async fn record<C: Cluster>(world: &mut World<C>, identity: Identity) -> Column {
    let mut recorder = Recorder::new(world, identity);
    kv::record(&mut recorder).await;
    watch::record(&mut recorder).await;
    lease::record(&mut recorder).await;
    cluster::record(&mut recorder).await;
    maintenance::record(&mut recorder).await;
    auth::record(&mut recorder).await;
    recorder.finish()
}
