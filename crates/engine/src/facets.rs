//! The facets of one member.

use ferretcd_data_dir::ReceivedSnapshots;

use crate::maintenance::StateFile;
use crate::maintenance::quota::Quota;
use crate::parts::Parts;
use crate::{Auth, Cluster, Kv, Leases, Maintenance, MemberInfo, Watches};

/// All facets. Clones refer to the same member.
#[derive(Clone, Debug)]
pub(crate) struct Facets {
    pub(crate) kv: Kv,
    pub(crate) watches: Watches,
    pub(crate) leases: Leases,
    pub(crate) cluster: Cluster,
    pub(crate) maintenance: Maintenance,
    pub(crate) auth: Auth,
    pub(crate) member: MemberInfo,
}

impl Facets {
    pub(crate) fn new(parts: &Parts, state: StateFile, quota: Quota, received: ReceivedSnapshots) -> Self {
        Self {
            kv: Kv::new(parts, state.reader.clone()),
            watches: Watches::new(parts),
            leases: Leases::new(parts),
            cluster: Cluster::new(parts),
            maintenance: Maintenance::new(parts, state, quota, received),
            auth: Auth::new(parts),
            member: parts.member.clone(),
        }
    }
}
