//! Finding the other founders of a cluster when nobody lists them: by SRV records of the name service, or by a
//! registry in another cluster.
//!
//! Both give what `--initial-cluster` would have said, and nothing else: the start goes on as if it had been given. They
//! are asked only when there is no log yet.

mod channel;
mod dns;
mod founders;
mod registry;
mod srv;

use std::collections::BTreeMap;

use ferretcd_membership::initial_member_id;

use crate::config::{Config, Discovery, Url};

/// The peer URLs of all founders by name.
type Members = BTreeMap<String, Vec<Url>>;

/// A cluster that was not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoveryError {
    /// Not in the name service.
    #[error("error setting up initial cluster: {0}")]
    Srv(#[from] srv::SrvError),
    /// Not in the registry.
    #[error("failed to join discovery cluster ({0})")]
    Registry(#[from] registry::RegistryError),
}

/// Has the founders that SRV records name in the initial cluster, if they are asked for. Blocks on the name service.
pub(crate) fn ask_names(config: &mut Config) -> Result<(), DiscoveryError> {
    if let Some(Discovery::Srv(records)) = &config.cluster.discovery {
        let finder = srv::Finder { dns: &dns::Dns::system(), addresses: &srv::addresses };
        config.cluster.initial_cluster = finder.members(&config.name, &config.advertise.peer, records)?;
    }
    Ok(())
}

/// Has the founders that register where this member does in the initial cluster, if there is a registry. Waits for
/// all of them for as long as it takes, and may be dropped.
pub(crate) async fn ask_registry(config: &mut Config) -> Result<(), DiscoveryError> {
    if let Some(Discovery::Registry(settings)) = &config.cluster.discovery {
        let mut urls: Vec<String> = config.advertise.peer.iter().map(Url::to_string).collect();
        urls.sort();
        let own = initial_member_id(&urls, &config.cluster.token);
        let entry = config.cluster.initial_cluster_text();
        config.cluster.initial_cluster = registry::join(settings, own, &entry).await?;
    }
    Ok(())
}
