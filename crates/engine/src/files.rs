//! The files of a member: the lock of its directory, the state file, the log.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use ferretcd_apply::{Applied, StateMachine};
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::{ClusterId, MemberId};
use ferretcd_raft_node::founding_entries;
use ferretcd_wal::{Metadata, Recovered, Wal};

use crate::bootstrap::Identity;
use crate::incoming::Incoming;
use crate::{Config, StartError};

/// Size of a segment of the log; etcd's.
pub(crate) const SEGMENT_BYTES: u64 = 64_000_000;

fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> StartError + '_ {
    move |source| StartError::Io { path: path.to_owned(), source }
}

/// Creates the member's directory and keeps other processes out of it. Waits for one that is on its way out.
pub(crate) fn lock_directory(config: &Config) -> Result<File, StartError> {
    let directory = config.member_dir();
    DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(io_error(&directory))?;
    let foreign = directory.join("snap").join("db");
    if foreign.exists() {
        return Err(StartError::ForeignData { path: foreign });
    }
    let path = directory.join("LOCK");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(io_error(&path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            tracing::warn!(path = %path.display(), "db file is flocked by another process, or taking too long");
        }
        Err(TryLockError::Error(source)) => return Err(StartError::Io { path, source }),
    }
    file.lock().map_err(io_error(&path))?;
    Ok(file)
}

/// Opens or creates the log, and says whose it is.
pub(crate) fn open_log(config: &Config) -> Result<(Wal, Recovered, Identity), StartError> {
    let path = config.wal_path();
    let wal_error = |source| StartError::Wal { path: path.clone(), source };
    let wal_config =
        || ferretcd_wal::Config { segment_bytes: SEGMENT_BYTES, unsafe_no_fsync: config.unsafe_no_fsync };
    let is_new = !config.has_log();
    if is_new {
        let state = config.state_path();
        if state.exists() {
            return Err(StartError::LogMissing { state, log: path });
        }
        let Identity { member_id, cluster_id } = config.bootstrap.identity(&config.name)?;
        let metadata = Metadata { node_id: member_id.0, cluster_id: cluster_id.0 };
        let founders = config.bootstrap.founders();
        let (entries, hard_state) = founding_entries(&founders);
        let hard_state = (!entries.is_empty()).then_some(hard_state);
        drop(Wal::create_with(&path, metadata, &entries, hard_state, wal_config()).map_err(wal_error)?);
    }
    let (wal, recovered) = Wal::open(&path, wal_config()).map_err(wal_error)?;
    let Metadata { node_id, cluster_id } = recovered.metadata;
    let identity = Identity { member_id: MemberId(node_id), cluster_id: ClusterId(cluster_id) };
    let message = if is_new { "starting local member" } else { "restarting local member" };
    let (member, cluster) = (identity.member_id, identity.cluster_id);
    tracing::info!("local-member-id" = %member, "cluster-id" = %cluster, "{message}");
    Ok((wal, recovered, identity))
}

/// Opens or creates the state file. A state that was received and that the log begins with is put into its place first.
pub(crate) fn open_state(
    config: &Config,
    incoming: &Incoming,
    recovered: &Recovered,
) -> Result<(Backend, StateMachine), StartError> {
    incoming.finish_install(recovered.snapshot.index)?;
    let path = config.state_path();
    let started = Instant::now();
    let backend = Backend::open(&path, &config.backend())
        .map_err(|source| StartError::Backend { path: path.clone(), source })?;
    let took = format!("{:?}", started.elapsed());
    tracing::info!(path = %path.display(), took, "opened backend db");
    let mut first_rows = Batch::default();
    let machine_config = ferretcd_apply::Config {
        mvcc: ferretcd_mvcc::Config { cache_bytes: config.row_cache_bytes },
        lease: ferretcd_lease::Config { ttl_min: config.lease_ttl_min() },
    };
    let machine = StateMachine::open(backend.clone(), &machine_config, &mut first_rows)?;
    if !first_rows.is_empty() {
        backend.commit(&first_rows)?;
    }
    check_positions(machine.applied(), recovered)?;
    Ok((backend, machine))
}

/// The log must reach from the state file's position on.
fn check_positions(applied: &Applied, recovered: &Recovered) -> Result<(), StartError> {
    let first = recovered.snapshot.index;
    let last = recovered.entries.last().map_or(first, |entry| entry.index);
    let applied = applied.position.index;
    if applied > last {
        return Err(StartError::LogBehind { applied, last });
    }
    if applied < first {
        return Err(StartError::StateBehind { applied, first });
    }
    Ok(())
}
