//! A new member from a snapshot file.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use ferretcd_apply::Applied;
use ferretcd_apply::snapshot::import;
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::LogPosition;
use ferretcd_bolt::{Trailer, check_trailer};
use ferretcd_membership::Membership;
use ferretcd_mvcc::{newest_revision, raise_revision};
use ferretcd_raft_node::founding_entries;
use ferretcd_wal::{ConfState, Metadata, SnapshotMark, Wal, sync_names};

use crate::data_dir::io_error;
use crate::error::RestoreError;
use crate::paths::SEGMENT_BYTES;
use crate::{Bootstrap, OpenError, Paths};

/// Pages in memory while rows about members are changed.
const CACHE_BYTES: usize = 4 << 20;
/// The term of a restored state, and of the entries that its log has gone through.
const TERM: u64 = 1;

/// How a snapshot is restored.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The name of the member, which is one of the founders.
    pub name: String,
    /// The founders of the new cluster.
    pub bootstrap: Bootstrap,
    /// Whether a file is accepted that has no hash behind it, as a copy of a database.
    pub accepts_missing_hash: bool,
    /// By how much the revision is raised; zero leaves it, and the compaction mark, as they were.
    pub bump_revision: u64,
}

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The revision, if it was raised.
    pub revision: Option<i64>,
}

impl Restore {
    /// Makes the directory of a new member with the state in `snapshot`, which ferretcd or etcd has saved. All members of
    /// the cluster are restored from the same file. `progress` is told the bytes of rows that are stored.
    ///
    /// Durable on return. The directory must not exist, or be empty. Users, roles, leases and alarms are those of the
    /// snapshot. Takes some seconds for a million rows, and a bounded amount of memory.
    pub fn run(
        &self,
        snapshot: &Path,
        paths: &Paths,
        mut progress: impl FnMut(u64),
    ) -> Result<Restored, RestoreError> {
        self.bootstrap.identity(&self.name)?;
        self.check(snapshot)?;
        let member = paths.member();
        check_empty(member.parent().unwrap_or(member))?;
        if paths.has_log() {
            return Err(RestoreError::LogExists { path: paths.log().to_owned() });
        }
        let restored = self.make(snapshot, paths, &mut progress);
        if restored.is_err() {
            // There was nothing before. The error that has led here is the one to report.
            let _ = fs::remove_dir_all(member);
        }
        restored
    }

    /// The log comes last, because a log alone is that of a founder, whose state is empty.
    fn make(
        &self,
        snapshot: &Path,
        paths: &Paths,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Restored, RestoreError> {
        let identity = self.bootstrap.identity(&self.name)?;
        let member = paths.member();
        DirBuilder::new().recursive(true).mode(0o700).create(member).map_err(io_error(member))?;
        let state_file = paths.state_file();
        let unnamed = state_file.with_extension("new.redb");
        let imported = import(snapshot, &unnamed, |n_bytes| {
            progress(n_bytes);
            ControlFlow::Continue(())
        });
        imported.map_err(|source| damaged(snapshot, source))?;
        let (entries, hard_state) = founding_entries(&self.bootstrap.founders());
        let (revision, conf_state) = self.refound(snapshot, &unnamed, hard_state.commit)?;
        fs::rename(&unnamed, &state_file)
            .and_then(|()| File::open(&state_file)?.sync_all())
            .and_then(|()| sync_names(&state_file))
            .map_err(io_error(&state_file))?;
        let metadata = Metadata { node_id: identity.member_id.0, cluster_id: identity.cluster_id.0 };
        let config = ferretcd_wal::Config { segment_bytes: SEGMENT_BYTES, unsafe_no_fsync: false };
        let log_error = |source| OpenError::Wal { path: paths.log().to_owned(), source };
        let log = Wal::create_with(paths.log(), metadata, &entries, Some(hard_state), config);
        let mark = SnapshotMark { index: hard_state.commit, term: TERM, conf_state: Some(conf_state) };
        log.and_then(|mut log| log.mark_snapshot(&mark)).map_err(log_error)?;
        Ok(Restored { revision })
    }

    fn check(&self, snapshot: &Path) -> Result<(), RestoreError> {
        let file = File::open(snapshot).map_err(io_error(snapshot))?;
        match check_trailer(&file).map_err(|source| damaged(snapshot, source))? {
            Trailer::Absent if !self.accepts_missing_hash => Err(RestoreError::HashMissing),
            _ => Ok(()),
        }
    }

    /// Gives the state new members, at entry `index` of the new log.
    fn refound(
        &self,
        snapshot: &Path,
        state_file: &Path,
        index: u64,
    ) -> Result<(Option<i64>, ConfState), RestoreError> {
        let config = ferretcd_backend::Config { cache_bytes: CACHE_BYTES };
        let backend = Backend::open(state_file, &config).map_err(OpenError::from)?;
        let mut batch = Batch::default();
        let mut membership = Membership::open(&backend).map_err(|source| damaged(snapshot, source))?;
        membership.refound(self.bootstrap.members(), &mut batch);
        let revision = match self.bump_revision {
            0 => None,
            by => {
                let newest = newest_revision(&backend.view()).map_err(|source| damaged(snapshot, source))?;
                let raised = raise_revision(newest, by, &mut batch);
                Some(raised.ok_or(RestoreError::BumpRevision { by, newest })?)
            }
        };
        let position = LogPosition::new(index, TERM);
        Applied { position, conf_state: membership.conf_state_json() }.store(&mut batch);
        backend.commit(&batch).map_err(OpenError::from)?;
        let voters = membership.members().map(|member| member.id.0).collect();
        Ok((revision, ConfState { voters, ..ConfState::default() }))
    }
}

fn damaged(snapshot: &Path, source: impl std::error::Error + Send + Sync + 'static) -> RestoreError {
    RestoreError::Snapshot { path: snapshot.to_owned(), source: source.into() }
}

/// A directory may be made before, as the mount point of a disk is.
fn check_empty(data_dir: &Path) -> Result<(), RestoreError> {
    match fs::read_dir(data_dir).map(|mut files| files.next().is_none()) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(false) | Err(_) => Err(RestoreError::NotEmpty { path: data_dir.to_owned() }),
    }
}
