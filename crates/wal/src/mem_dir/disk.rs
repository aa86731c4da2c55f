//! The simulated device: two versions of everything, and the journal between them.

use std::io;
use std::mem;

use super::{MemDir, Names, Operation, Unsynced};

const SECTOR_BYTES: u64 = 512;

/// The directory's state. Applying `unsynced` in order to the durable version gives the live one.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: Vec<FileVersions>,
    pub(super) names: Names,
    durable_names: Names,
    pub(super) unsynced: Vec<Change>,
    pub(super) failing: Option<Operation>,
}

#[derive(Debug, Default)]
pub(super) struct FileVersions {
    pub(super) live: Content,
    durable: Content,
    pub(super) locked: bool,
}

/// A file's bytes; those between `bytes.len()` and `len` are zeros.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    bytes: Vec<u8>,
    pub(super) len: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { file: usize, offset: u64, bytes: Vec<u8> },
    Resize { file: usize, len: u64 },
    Create { name: String, file: usize },
    Rename { from: String, to: String, file: usize },
    Remove { name: String },
}

impl Disk {
    /// Fails once if the test wants it.
    pub(super) fn check(&mut self, operation: Operation) -> io::Result<()> {
        if self.failing == Some(operation) {
            self.failing = None;
            return Err(io::Error::other("injected fault"));
        }
        Ok(())
    }

    pub(super) fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn add_file(&mut self) -> usize {
        self.files.push(FileVersions::default());
        self.files.len() - 1
    }

    pub(super) fn file(&self, file: usize) -> &FileVersions {
        &self.files[file]
    }

    pub(super) fn file_mut(&mut self, file: usize) -> &mut FileVersions {
        &mut self.files[file]
    }

    pub(super) fn change(&mut self, change: Change) {
        match &change {
            Change::Write { file, .. } | Change::Resize { file, .. } => {
                change.apply_to_content(&mut self.files[*file].live);
            }
            _ => change.apply_to_names(&mut self.names),
        }
        self.unsynced.push(change);
    }

    pub(super) fn sync_file(&mut self, file: usize) {
        let covered = |change: &mut Change| change.content_of() == Some(file);
        for change in self.unsynced.extract_if(.., covered) {
            change.apply_to_content(&mut self.files[file].durable);
        }
    }

    pub(super) fn sync_names(&mut self) {
        for change in self.unsynced.extract_if(.., |change| change.content_of().is_none()) {
            change.apply_to_names(&mut self.durable_names);
        }
    }

    /// The durable version plus what `survivors` makes of each unsynced change.
    pub(super) fn crashed(&self, mut survivors: impl FnMut(&Change) -> Vec<Change>) -> MemDir {
        let mut names = self.durable_names.clone();
        let mut contents: Vec<_> = self.files.iter().map(|f| f.durable.clone()).collect();
        for change in self.unsynced.iter().flat_map(&mut survivors) {
            match change.content_of() {
                Some(file) => change.apply_to_content(&mut contents[file]),
                None => change.apply_to_names(&mut names),
            }
        }
        let found =
            |content: Content| FileVersions { live: content.clone(), durable: content, locked: false };
        let files = contents.into_iter().map(found).collect();
        let durable_names = names.clone();
        Disk { files, names, durable_names, unsynced: Vec::new(), failing: None }.into()
    }
}

impl Content {
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset + buf.len() as u64 > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let written = self.bytes.get(offset as usize..).unwrap_or(&[]);
        let n = written.len().min(buf.len());
        buf[..n].copy_from_slice(&written[..n]);
        buf[n..].fill(0);
        Ok(())
    }
}

impl Change {
    /// The file whose content this changes; nothing if it changes names.
    fn content_of(&self) -> Option<usize> {
        match self {
            Self::Write { file, .. } | Self::Resize { file, .. } => Some(*file),
            Self::Create { .. } | Self::Rename { .. } | Self::Remove { .. } => None,
        }
    }

    fn apply_to_content(&self, content: &mut Content) {
        match self {
            Self::Write { offset, bytes, .. } => {
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                content.bytes.resize(content.bytes.len().max(end), 0);
                content.bytes[start..end].copy_from_slice(bytes);
                content.len = content.len.max(end as u64);
            }
            Self::Resize { len, .. } => {
                content.bytes.truncate(*len as usize);
                content.len = *len;
            }
            Self::Create { .. } | Self::Rename { .. } | Self::Remove { .. } => {}
        }
    }

    fn apply_to_names(&self, names: &mut Names) {
        match self {
            Self::Create { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Rename { from, to, file } => {
                // Without the change that gave the file its first name, only the second one appears.
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
            Self::Remove { name } => {
                names.remove(name);
            }
            Self::Write { .. } | Self::Resize { .. } => {}
        }
    }

    /// In how many steps this can be cut: one per byte written, one for anything else.
    pub(super) fn steps(&self) -> u64 {
        match self {
            Self::Write { bytes, .. } => bytes.len() as u64,
            _ => 1,
        }
    }

    /// The change after its first `n` steps.
    pub(super) fn first_steps(&self, n: u64) -> Option<Self> {
        match self {
            _ if n == 0 => None,
            Self::Write { file, offset, bytes } => {
                Some(Self::Write { file: *file, offset: *offset, bytes: bytes[..n as usize].to_vec() })
            }
            whole => Some(whole.clone()),
        }
    }

    /// The parts that a disk keeps or drops one by one.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Self> {
        let mut rest = Some(self.clone());
        std::iter::from_fn(move || {
            if let Some(Self::Write { file, offset, bytes }) = &mut rest {
                let in_sector = (SECTOR_BYTES - *offset % SECTOR_BYTES) as usize;
                if bytes.len() > in_sector {
                    let after = bytes.split_off(in_sector);
                    let piece =
                        Self::Write { file: *file, offset: *offset, bytes: mem::replace(bytes, after) };
                    *offset += in_sector as u64;
                    return Some(piece);
                }
            }
            rest.take()
        })
    }

    pub(super) fn unsynced(&self) -> Unsynced {
        match self {
            Self::Write { offset, bytes, .. } => Unsynced::Sector { offset: *offset, len: bytes.len() },
            Self::Resize { .. } => Unsynced::Length,
            Self::Create { .. } | Self::Rename { .. } | Self::Remove { .. } => Unsynced::Name,
        }
    }
}
