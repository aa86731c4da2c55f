//! Finding the other founders of a cluster that no setting lists: by SRV records of the name service, or by a registry
//! in another cluster.
//!
//! Both give what `--initial-cluster` would have said, and nothing else: the start goes on as if it had been given.
//! The crate reads no configuration and does not know whether the member has been started before; only the first start
//! needs it.
//!
//! * [`Discovery`]: which of the two, as plain data: [`SrvRecords`] or a [`Registry`].
//! * [`find_by_srv`]: blocks on the name service.
//! * [`register`]: waits in the registry until all founders are there.
//!
//! ```no_run
//! use ferretcd_base::MemberId;
//! use ferretcd_discovery::{Registry, register};
//!
//! # async fn example() -> Result<(), ferretcd_discovery::Error> {
//! let registry = Registry::new(["http://10.0.0.9:2379"], "my-cluster");
//! let members = register(&registry, MemberId(1), "a=http://10.0.0.1:2380").await?;
//! assert!(members.contains_key("a"));
//! # Ok(())
//! # }
//! ```

mod registry;
mod settings;
mod srv;

mod dns;
mod founders;

use ferretcd_base::MemberId;
use ferretcd_membership::Url;

pub use ferretcd_client::Credentials;
pub use settings::{Discovery, Members, Registry, RegistryTls, SrvRecords};

/// A cluster that was not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not in the name service.
    #[error("error setting up initial cluster: {0}")]
    Srv(#[from] srv::SrvError),
    /// Not in the registry.
    #[error("failed to join discovery cluster ({0})")]
    Registry(#[from] registry::RegistryError),
}

/// The founders that SRV records name, this member among them under `name`: it is the one at `advertised`, its own peer
/// URLs. Blocks on the name service.
pub fn find_by_srv(records: &SrvRecords, name: &str, advertised: &[Url]) -> Result<Members, Error> {
    let finder = srv::Finder { dns: &dns::Dns::system(), addresses: &srv::addresses };
    Ok(finder.members(name, advertised, records)?)
}

/// Registers the member `own` with its `entry`, which is `name=url,name=url`, and returns all founders. Waits for the
/// others for as long as it takes; dropping the future ends that.
pub async fn register(registry: &Registry, own: MemberId, entry: &str) -> Result<Members, Error> {
    Ok(registry::join(registry, own, entry).await?)
}
