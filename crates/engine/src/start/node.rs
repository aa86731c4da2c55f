//! The raft node of the member.

use std::sync::Arc;
use std::time::Duration;

use ferretcd_raft_node::{Applied, Node};
use ferretcd_wal::{Recovered, Wal};

use crate::channels::Channels;
use crate::controllers::timeouts::SWEEP_INTERVAL;
use crate::raft_host::RaftHost;
use crate::raft_transport::RaftTransport;
use crate::{Config, Peers, StartError};

/// Events that may wait for the raft driver.
const NODE_INBOX_MAX: usize = 16 * 1024;
/// Committed entries that may be with the apply thread: twice the number at which new proposals are rejected.
const UNAPPLIED_MAX: u64 = 10_000;
/// The largest message of entries between members, in bytes.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Messages of entries under way to one follower.
const INFLIGHT_MESSAGES_MAX: usize = 256;

/// Starts the node at `position` in the log.
pub(super) fn start(
    config: &Config,
    (wal, recovered): (Wal, Recovered),
    position: Applied,
    peers: &Arc<dyn Peers>,
    channels: &Channels,
) -> Result<Node, StartError> {
    let late_heartbeats = channels.metrics.late_heartbeats.clone();
    let transport = RaftTransport::new(Arc::clone(peers), config.heartbeat, late_heartbeats);
    let host = Arc::new(RaftHost::new(channels.clone()));
    let config = node_config(config, channels);
    let node = Node::start(config, wal, recovered, position, Arc::new(transport), Arc::clone(&host) as _)?;
    host.set_node(node.handle());
    Ok(node)
}

fn node_config(config: &Config, channels: &Channels) -> ferretcd_raft_node::Config {
    ferretcd_raft_node::Config {
        id: channels.shared.member_id,
        heartbeat: config.heartbeat,
        election_ticks: usize::try_from(ticks_in(config.election, config.heartbeat)).unwrap_or(usize::MAX),
        pre_vote: config.pre_vote,
        check_quorum: true,
        max_size_per_msg: MESSAGE_BYTES_MAX,
        max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
        catchup_entries: config.catchup_entries,
        catchup_bytes: config.catchup_bytes,
        unapplied_max: UNAPPLIED_MAX,
        inbox: NODE_INBOX_MAX,
        // The request has failed by then.
        proposal_ticks: ticks_in(config.request_timeout() + SWEEP_INTERVAL, config.heartbeat),
        advance_ticks: config.advance_ticks,
    }
}

fn ticks_in(time: Duration, tick: Duration) -> u64 {
    u64::try_from(time.as_nanos() / tick.as_nanos().max(1)).unwrap_or(u64::MAX)
}
