//! What facets and controllers are made of.

use std::sync::Arc;

use ferretcd_raft_node::NodeHandle;

use crate::channels::Channels;
use crate::proposer::Proposer;
use crate::read_index::ReadIndex;
use crate::{MemberInfo, Peers};

/// Each facet and each controller takes from here what it needs.
pub(crate) struct Parts {
    pub(crate) node: NodeHandle,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) channels: Channels,
    pub(crate) proposer: Proposer,
    pub(crate) read_index: ReadIndex,
    pub(crate) member: MemberInfo,
}

impl Parts {
    pub(crate) fn new(
        node: NodeHandle,
        peers: Arc<dyn Peers>,
        channels: Channels,
        member: MemberInfo,
    ) -> Self {
        let proposer = Proposer::new(&channels, member.clone());
        let read_index = ReadIndex::new(node.clone(), &channels, member.clone());
        Self { node, peers, channels, proposer, read_index, member }
    }
}
