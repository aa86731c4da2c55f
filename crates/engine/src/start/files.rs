//! The files of the member, opened.

use ferretcd_apply::{Applied, StateMachine};
use ferretcd_backend::Backend;
use ferretcd_base::{ClusterId, MemberId};
use ferretcd_data_dir::{DataDir, Identity};
use ferretcd_membership::{Change, Member};
use ferretcd_wal::{Recovered, Wal};

use crate::{Config, StartError, conf_state};

/// The log, the state file and what they say.
pub(super) struct Files {
    pub(super) identity: Identity,
    /// The members that a new member was started with.
    pub(super) contacts: Vec<Member>,
    pub(super) wal: Wal,
    pub(super) recovered: Recovered,
    pub(super) machine: StateMachine,
    pub(super) backend: Backend,
    /// Where the raft core goes on from.
    pub(super) position: ferretcd_raft_node::Applied,
    /// The last field, because it holds the lock.
    pub(super) data_dir: DataDir,
}

impl Files {
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        let data_dir = DataDir::lock(config.paths(), config.unsafe_no_fsync)?;
        let contacts = if config.has_log() { Vec::new() } else { config.bootstrap.members() };
        let (mut wal, mut recovered, identity) = data_dir.open_log(&config.name, &config.bootstrap)?;
        let (backend, machine) = data_dir.open_state(&recovered, &config.state())?;
        let position = position(machine.applied())?;
        if config.force_new_cluster {
            force_new_cluster(&mut wal, &mut recovered, &position)?;
        }
        Ok(Self { identity, contacts, wal, recovered, machine, backend, position, data_dir })
    }
}

fn position(applied: &Applied) -> Result<ferretcd_raft_node::Applied, StartError> {
    let conf_state = conf_state::from_json(&applied.conf_state).map_err(StartError::ConfState)?;
    Ok(ferretcd_raft_node::Applied { index: applied.position.index, conf_state })
}

/// Takes the other members out of the cluster.
fn force_new_cluster(
    wal: &mut Wal,
    recovered: &mut Recovered,
    position: &ferretcd_raft_node::Applied,
) -> Result<(), StartError> {
    let (id, cluster) = (MemberId(recovered.metadata.node_id), ClusterId(recovered.metadata.cluster_id));
    tracing::warn!("local-member-id" = %id, "cluster-id" = %cluster, "forcing restart member");
    let promotion = Change::Promote(id).to_context().into();
    ferretcd_raft_node::force_new_cluster(wal, recovered, position, promotion)?;
    Ok(())
}
