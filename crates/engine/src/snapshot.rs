//! The whole state, on its way between members.

use std::io::{self, Read};

use ferretcd_apply::snapshot::Export;
use ferretcd_base::LogPosition;
use ferretcd_data_dir::ReceiveError;
use ferretcd_wal::SnapshotMark;
use prometheus::HistogramTimer;

use crate::{Engine, conf_state};

/// Why a state was not sent or received.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The member has stopped, or its state file cannot be written.
    #[error("take a snapshot: the member is stopping")]
    Stopped,
    /// The state of this member does not reach as far as asked.
    #[error("take a snapshot at entry {asked}: the state is at entry {applied}")]
    Behind {
        /// The entry asked for.
        asked: u64,
        /// Up to which entry there is a state.
        applied: u64,
    },
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

/// A state to be sent: reads as the bytes of a bolt file, as etcd sends them.
#[derive(Debug)]
pub struct OutgoingSnapshot {
    mark: SnapshotMark,
    export: Export,
    /// Counts how long it is read.
    _timer: HistogramTimer,
}

impl OutgoingSnapshot {
    /// The entry that the state is at, and who votes as of it.
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

/// What the network does with states. All of it blocks, and is for threads that may.
impl Engine {
    /// The member's state at entry `at_least` or later. Writers go on; what is read stays as it is, and the room of
    /// what they replace meanwhile becomes free only when the snapshot is dropped.
    pub fn open_snapshot(&self, at_least: u64) -> Result<OutgoingSnapshot, SnapshotError> {
        self.0.flusher.flush().blocking_recv().map_err(|_| SnapshotError::Stopped)?;
        let export = ferretcd_apply::snapshot::export(self.0.backend.view())?;
        let applied = export.mark();
        let LogPosition { index, term } = applied.position;
        if index < at_least {
            return Err(SnapshotError::Behind { asked: at_least, applied: index });
        }
        let conf_state = conf_state::from_json(&applied.conf_state)?;
        let mark = SnapshotMark { index, term, conf_state: Some(conf_state) };
        Ok(OutgoingSnapshot { mark, export, _timer: self.metrics().state_read.start_timer() })
    }

    /// Stores a state as of entry `index` that another member sends, of `len` bytes if it says so; returns its bytes.
    /// After that the message that announced it may be [received](Self::receive). It is refused, or given up on its
    /// way, if it would leave less than 256 MiB of the disk free, or of a small one less than an eighth or a segment of
    /// the log. For a while it is there twice: as it came, and as a state file.
    pub fn accept_snapshot(
        &self,
        index: u64,
        len: Option<u64>,
        body: &mut dyn Read,
    ) -> Result<u64, ReceiveError> {
        self.0.received.forget_to(self.0.read_rounds.applied_index());
        let timer = self.metrics().state_received.start_timer();
        match self.0.received.receive(index, len, body) {
            Ok(bytes) => {
                timer.observe_duration();
                Ok(bytes)
            }
            Err(error) => {
                timer.stop_and_discard();
                Err(error)
            }
        }
    }
}
