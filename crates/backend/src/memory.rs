use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Medium;

/// Bytes in memory, which can be made to fail and to lose what was not synced. Clones are handles of the
/// same bytes.
#[derive(Clone, Default)]
pub struct MemoryMedium {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// Changes since the last sync, oldest first.
    unsynced: Vec<Unsynced>,
    /// How many more changes and syncs succeed; none = all.
    budget: Option<usize>,
}

/// One change that a crash may undo.
struct Unsynced {
    offset: usize,
    /// The old bytes; for a change of length, those that were cut off.
    old: Vec<u8>,
    new: New,
}

enum New {
    Bytes(Vec<u8>),
    Len(usize),
}

/// The piece in which a disk keeps or loses a write.
const SECTOR: usize = 512;

impl MemoryMedium {
    /// An empty medium.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the next `n` calls of `write`, `set_len` and `sync` succeed and all later ones fail.
    pub fn fail_after(&self, n: usize) {
        self.lock().budget = Some(n);
    }

    /// Number of pieces that a crash now could keep or lose, each of at most 512 bytes.
    #[must_use]
    pub fn n_unsynced(&self) -> usize {
        self.lock().unsynced.iter().map(Unsynced::n_pieces).sum()
    }

    /// The medium after a crash at this moment: everything up to the last sync, and of the changes since then
    /// the pieces for which `keep` returns true. It is called once for each, oldest first. This medium
    /// itself is not changed.
    #[must_use]
    pub fn crash(&self, mut keep: impl FnMut() -> bool) -> Self {
        let state = self.lock();
        let mut bytes = state.bytes.clone();
        for change in state.unsynced.iter().rev() {
            change.undo(&mut bytes);
        }
        for change in &state.unsynced {
            change.redo(&mut bytes, &mut keep);
        }
        Self { state: Arc::new(Mutex::new(State { bytes, ..State::default() })) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts one change or sync against the budget.
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.budget {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the medium was told to fail")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

impl Unsynced {
    fn n_pieces(&self) -> usize {
        match &self.new {
            New::Bytes(new) => new.len().div_ceil(SECTOR),
            New::Len(_) => 1,
        }
    }

    fn undo(&self, bytes: &mut Vec<u8>) {
        match &self.new {
            New::Bytes(new) => bytes[self.offset..self.offset + new.len()].copy_from_slice(&self.old),
            New::Len(_) => {
                bytes.truncate(self.offset);
                bytes.extend_from_slice(&self.old);
            }
        }
    }

    fn redo(&self, bytes: &mut Vec<u8>, keep: &mut impl FnMut() -> bool) {
        match &self.new {
            New::Len(len) => {
                if keep() {
                    bytes.resize(*len, 0);
                }
            }
            New::Bytes(new) => {
                for (index, piece) in new.chunks(SECTOR).enumerate() {
                    let offset = self.offset + index * SECTOR;
                    // Bytes behind an end that was itself lost are lost with it.
                    if keep() && offset + piece.len() <= bytes.len() {
                        bytes[offset..offset + piece.len()].copy_from_slice(piece);
                    }
                }
            }
        }
    }
}

/// Where `len` bytes from `offset` on are, if they are within the medium.
fn span(bytes: &[u8], offset: u64, len: usize) -> io::Result<std::ops::Range<usize>> {
    usize::try_from(offset)
        .ok()
        .and_then(|start| Some(start..start.checked_add(len)?))
        .filter(|span| span.end <= bytes.len())
        .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
}

impl Medium for MemoryMedium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        out.copy_from_slice(&state.bytes[span(&state.bytes, offset, out.len())?]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let mut state = self.lock();
        state.spend()?;
        let offset = len.min(state.bytes.len());
        let old = state.bytes.split_off(offset);
        state.bytes.resize(len, 0);
        state.unsynced.push(Unsynced { offset, old, new: New::Len(len) });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.spend()?;
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        state.spend()?;
        let span = span(&state.bytes, offset, data.len())?;
        let change = Unsynced {
            offset: span.start,
            old: state.bytes[span.clone()].to_vec(),
            new: New::Bytes(data.to_vec()),
        };
        state.bytes[span].copy_from_slice(data);
        state.unsynced.push(change);
        Ok(())
    }
}

impl std::fmt::Debug for MemoryMedium {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryMedium").field("len", &self.lock().bytes.len()).finish_non_exhaustive()
    }
}
