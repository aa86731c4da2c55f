//! The founders of the cluster, where the configuration does not list them.

use std::collections::BTreeMap;

use ferretcd_discovery::{Discovery, Error, find_by_srv, register};
use ferretcd_engine::Bootstrap;
use ferretcd_membership::initial_member_id;

use crate::config::{Config, url_texts};

/// Puts the founders that SRV records name into the initial cluster, if SRV records are configured. Blocks on the name
/// service.
pub(crate) fn find_in_dns(config: &mut Config) -> Result<(), Error> {
    if let Some(Discovery::Srv(records)) = &config.cluster.discovery {
        config.cluster.initial_cluster = find_by_srv(records, &config.name, &config.advertise.peer)?;
    }
    Ok(())
}

/// Puts the founders that register where this member does into the initial cluster, if a registry is configured. Waits
/// for all of them for as long as it takes; the future may be dropped.
pub(crate) async fn find_in_registry(config: &mut Config) -> Result<(), Error> {
    if let Some(Discovery::Registry(registry)) = &config.cluster.discovery {
        let mut urls = url_texts(&config.advertise.peer);
        urls.sort();
        let own = initial_member_id(&urls, &config.cluster.token);
        let entry = config.cluster.initial_cluster_text();
        config.cluster.initial_cluster = register(registry, own, &entry).await?;
    }
    Ok(())
}

/// All founders of the initial cluster.
pub(crate) fn founders(config: &Config) -> Bootstrap {
    let members = config.cluster.initial_cluster.iter();
    let initial_cluster: BTreeMap<_, _> =
        members.map(|(name, urls)| (name.clone(), url_texts(urls))).collect();
    Bootstrap::New { initial_cluster, token: config.cluster.token.clone() }
}
