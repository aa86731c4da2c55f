//! The whole state, on its way between members.

use std::io::{self, Read};

use ferretcd_apply::snapshot::Export;
use ferretcd_auth::AuthError;
use ferretcd_base::LogPosition;
use ferretcd_data_dir::ReceiveError;
use ferretcd_wal::SnapshotMark;
use prometheus::HistogramTimer;

use super::Maintenance;
use crate::{Caller, MemberInfo, conf_state};

/// Why a snapshot was not sent or received.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The member has stopped, or its state file cannot be written.
    #[error("take a snapshot: the member is stopping")]
    Stopped,
    /// The state of this member does not reach as far as requested.
    #[error("take a snapshot at entry {requested}: the state is at entry {applied}")]
    Behind {
        /// The requested entry.
        requested: u64,
        /// The last entry in the state.
        applied: u64,
    },
    /// The caller may not have it.
    #[error(transparent)]
    Denied(#[from] AuthError),
    /// The state could not be read.
    #[error(transparent)]
    Export(#[from] ferretcd_apply::snapshot::ExportError),
    /// The snapshot was not received.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// The stored configuration of the group cannot be read.
    #[error("take a snapshot: row confState of the state file cannot be read: {0}")]
    ConfState(#[from] serde_json::Error),
}

/// A snapshot to be sent: reads as the bytes of a bolt file, as etcd sends them.
#[derive(Debug)]
pub struct OutgoingSnapshot {
    mark: SnapshotMark,
    export: Export,
    /// Measures how long it takes to read.
    _timer: HistogramTimer,
    /// Keeps the data directory locked while its state file is read.
    _member: MemberInfo,
}

impl OutgoingSnapshot {
    /// The last entry in the snapshot, and the voters as of it.
    pub fn mark(&self) -> &SnapshotMark {
        &self.mark
    }

    /// How many bytes are to be read in all.
    pub fn size(&self) -> u64 {
        self.export.len()
    }
}

impl Read for OutgoingSnapshot {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.export.read(buffer)
    }
}

/// Snapshots for the network. All methods block, and are for threads that may.
impl Maintenance {
    /// The member's state at entry `at_least` or later. Writers go on; what is read stays as it is, and the room of
    /// what they replace meanwhile becomes free only when the snapshot is dropped.
    pub fn open_snapshot(&self, caller: &Caller, at_least: u64) -> Result<OutgoingSnapshot, SnapshotError> {
        self.gate.check_root_now(caller)?;
        self.state.flusher.flush().blocking_recv().map_err(|_| SnapshotError::Stopped)?;
        let export = ferretcd_apply::snapshot::export(self.state.backend.view())?;
        let applied = export.mark();
        let LogPosition { index, term } = applied.position;
        if index < at_least {
            return Err(SnapshotError::Behind { requested: at_least, applied: index });
        }
        let conf_state = conf_state::from_json(&applied.conf_state)?;
        let mark = SnapshotMark { index, term, conf_state: Some(conf_state) };
        let _timer = self.metrics.state_read.start_timer();
        Ok(OutgoingSnapshot { mark, export, _timer, _member: self.member.clone() })
    }

    /// Stores a snapshot at entry `index` that a peer sends, of `len` bytes if the peer says so; returns its bytes.
    /// After that the message that announced it may be [received](crate::Cluster::receive). An error, also on the way,
    /// if it would leave less than 256 MiB of the disk free, or of a small one less than an eighth or a segment of
    /// the log. For a while it is there twice: as it came, and as a state file.
    pub fn accept_snapshot(
        &self,
        _caller: &Caller,
        index: u64,
        len: Option<u64>,
        body: &mut dyn Read,
    ) -> Result<u64, SnapshotError> {
        self.received.forget_to(self.member.applied_index());
        let timer = self.metrics.state_received.start_timer();
        match self.received.receive(index, len, body) {
            Ok(bytes) => {
                timer.observe_duration();
                Ok(bytes)
            }
            Err(error) => {
                timer.stop_and_discard();
                Err(error.into())
            }
        }
    }
}
