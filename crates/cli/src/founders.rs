//! The founders of the cluster, where the configuration does not list them.

use ferretcd_discovery::{Discovery, Error, find_by_srv, register};
use ferretcd_membership::initial_member_id;

use crate::config::{Config, Url};

/// Puts the founders that SRV records name into the initial cluster, if SRV records are configured. Blocks on the name
/// service.
pub(crate) fn find_names(config: &mut Config) -> Result<(), Error> {
    if let Some(Discovery::Srv(records)) = &config.cluster.discovery {
        config.cluster.initial_cluster = find_by_srv(records, &config.name, &config.advertise.peer)?;
    }
    Ok(())
}

/// Puts the founders that register where this member does into the initial cluster, if a registry is configured. Waits
/// for all of them for as long as it takes, and may be dropped.
pub(crate) async fn find_registered(config: &mut Config) -> Result<(), Error> {
    if let Some(Discovery::Registry(registry)) = &config.cluster.discovery {
        let mut urls: Vec<String> = config.advertise.peer.iter().map(Url::to_string).collect();
        urls.sort();
        let own = initial_member_id(&urls, &config.cluster.token);
        let entry = config.cluster.initial_cluster_text();
        config.cluster.initial_cluster = register(registry, own, &entry).await?;
    }
    Ok(())
}
