//! The flags of the cluster, and how others reach the member.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferretcd_discovery::Discovery;
use ferretcd_embed::{Advertise, Cluster, ClusterState, Listen};
use ferretcd_flags::Settings;
use ferretcd_membership::{Url, parse_initial_cluster};

use super::discovery::discovery;
use crate::diagnostic::Diagnostic;
use crate::error::ConfigError;

/// The advertised URLs. One that was not given, on a member that listens on all interfaces, has this machine's
/// address instead of `localhost`.
pub(super) fn advertise(
    settings: &Settings,
    listen: &Listen,
    host: impl FnOnce() -> Option<String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Advertise {
    let mut advertise = Advertise {
        peer: settings.urls("initial-advertise-peer-urls"),
        client: settings.urls("advertise-client-urls"),
    };
    let everywhere = |urls: &[Url]| urls.first().is_some_and(|url| url.host() == "0.0.0.0");
    let peer = everywhere(&listen.peer) && is_default(&advertise.peer, "http://localhost:2380");
    let client = everywhere(&listen.client) && is_default(&advertise.client, "http://localhost:2379");
    if !peer && !client {
        return advertise;
    }
    if let Some(host) = host() {
        if peer {
            advertise.peer = vec![listen.peer[0].with_host(&host)];
        }
        if client {
            advertise.client = vec![listen.client[0].with_host(&host)];
        }
        diagnostics.push(Diagnostic::AdvertisedHost { host });
    }
    advertise
}

/// The address for connections to other members: the first among the advertised ones that others could reach, if the
/// feature gate SetMemberLocalAddr is open.
pub(super) fn peer_source(
    settings: &Settings,
    peer_urls: &[Url],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<IpAddr> {
    if !settings.gates("feature-gates").is_enabled("SetMemberLocalAddr") {
        return None;
    }
    let addresses = peer_urls.iter().filter_map(|url| url.host().parse::<IpAddr>().ok());
    let source = addresses.into_iter().find(|address| !address.is_loopback() && !address.is_unspecified());
    let peer_urls = peer_urls.iter().map(|url| url.as_str().to_owned()).collect();
    diagnostics.push(Diagnostic::PeerSource { peer_urls, source });
    source
}

fn is_default(urls: &[Url], default: &str) -> bool {
    matches!(urls, [url] if url.as_str() == default)
}

/// The cluster, without founders if they can't be read: why not is left in `first_start`, because it matters at no other.
pub(super) fn cluster(
    settings: &Settings,
    name: &str,
    peer_urls: &[Url],
    first_start: &mut Result<(), ConfigError>,
) -> Result<Cluster, ConfigError> {
    let (discovery, initial_cluster) = founders(settings, name, peer_urls).unwrap_or_else(|error| {
        *first_start = Err(error);
        (None, Founders::new())
    });
    Ok(Cluster {
        initial_cluster,
        token: match &discovery {
            Some(Discovery::Registry(registry)) => registry.token.clone(),
            _ => settings.text("initial-cluster-token"),
        },
        discovery,
        state: match &*settings.text("initial-cluster-state") {
            "new" | "" => ClusterState::New,
            "existing" => ClusterState::Existing,
            other => return Err(ConfigError::ClusterState(other.to_owned())),
        },
        strict_reconfig_check: settings.bool("strict-reconfig-check"),
        learners_max: usize::try_from(settings.int("max-learners")).unwrap_or(0),
        pre_vote: settings.bool("pre-vote"),
        force_new: settings.bool("force-new-cluster"),
    })
}

/// The peer URLs of members by name.
type Founders = BTreeMap<String, Vec<Url>>;

/// Where the founders are found, and those that are known without looking.
fn founders(
    settings: &Settings,
    name: &str,
    peer_urls: &[Url],
) -> Result<(Option<Discovery>, Founders), ConfigError> {
    let discovery = discovery(settings)?;
    let known = match discovery {
        Some(Discovery::Srv(_)) => Founders::new(),
        None if settings.is_set("initial-cluster") => {
            parse_initial_cluster(&settings.text("initial-cluster")).map_err(ConfigError::InitialCluster)?
        }
        // etcd puts the default URL here unless the name is given; such a member could not start.
        _ => [(name.to_owned(), peer_urls.to_vec())].into(),
    };
    Ok((discovery, known))
}
