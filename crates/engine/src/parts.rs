//! What facets and controllers are made of.

use std::sync::Arc;

use ferretcd_raft_node::NodeHandle;

use crate::auth::gate::Gate;
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
    pub(crate) gate: Gate,
    pub(crate) member: MemberInfo,
}

impl Parts {
    pub(crate) fn new(
        node: NodeHandle,
        peers: Arc<dyn Peers>,
        channels: Channels,
        member: MemberInfo,
    ) -> Self {
        let read_index = ReadIndex::new(node.clone(), &channels, member.clone());
        let (rights, tokens) = (channels.rights.clone(), Arc::clone(&channels.tokens));
        let gate = Gate::new(rights, tokens, read_index.clone(), member.clone());
        let proposer = Proposer::new(&channels, gate.clone(), member.clone());
        Self { node, peers, channels, proposer, read_index, gate, member }
    }
}
