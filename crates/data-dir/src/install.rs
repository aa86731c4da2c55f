//! Making a received snapshot the state of the member.

use ferretcd_apply::StateMachine;
use ferretcd_backend::Backend;

use crate::{InstallError, ReceivedSnapshots};

/// Puts received snapshots under the stores. Belongs to the apply thread.
#[derive(Debug)]
pub struct Installer {
    received: ReceivedSnapshots,
    backend: Backend,
    config: ferretcd_backend::Config,
}

impl Installer {
    /// `backend` is the member's state file, opened with `config`.
    pub fn new(received: ReceivedSnapshots, backend: Backend, config: ferretcd_backend::Config) -> Self {
        Self { received, backend, config }
    }

    /// Puts the snapshot at entry `index` under the stores. Nothing may be on its way to the state file. Durable on
    /// return. After an error the member cannot go on; its next start finishes the installation.
    pub fn install(&self, index: u64, machine: &mut StateMachine) -> Result<(), InstallError> {
        self.put(&self.received, index, machine)?;
        // The core did not take those. The log does not begin before this one any more.
        self.received.forget_to(index);
        Ok(())
    }

    /// Puts a snapshot that this member has fetched under the stores. After an error the next start finds the old data
    /// or the new ones.
    pub fn install_refetched(&self, index: u64, machine: &mut StateMachine) -> Result<(), InstallError> {
        self.put(&self.received.for_refetch(), index, machine)
    }

    fn put(
        &self,
        received: &ReceivedSnapshots,
        index: u64,
        machine: &mut StateMachine,
    ) -> Result<(), InstallError> {
        let path = received.state_file();
        // A rewrite of the old state must not get the name that the new one has by then.
        self.backend.retire();
        received.install(index).map_err(|source| InstallError::Rename { path: path.to_owned(), source })?;
        self.backend.replace(path, &self.config)?;
        machine.restore(&self.backend)?;
        Ok(())
    }
}
