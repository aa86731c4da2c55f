//! Errors, each with the place and the remedy.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::HardState;

/// An error of the log. The text completes "failed to ...".
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no log to open.
    #[error("find a log segment in {}", .dir.display())]
    NotFound {
        /// The directory searched.
        dir: PathBuf,
    },

    /// A log is already there; creating one would hide it.
    #[error("create a log in {}: one exists already", .dir.display())]
    Exists {
        /// The directory that was to hold the new log.
        dir: PathBuf,
    },

    /// Another process, or another handle of this one, works on the log.
    #[error("lock {}: in use by another process; stop it first", .path.display())]
    InUse {
        /// The locked segment.
        path: PathBuf,
    },

    /// The file system failed.
    #[error("{action} {}", .path.display())]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The file or directory it was tried on.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// A segment between two others is missing.
    #[error("find segment {expected} of the log before {}: bring the missing file back or replace this member", .path.display())]
    MissingSegment {
        /// The sequence number that should come next.
        expected: u64,
        /// The segment found in its place.
        path: PathBuf,
    },

    /// A segment's bytes cannot be what was once synced.
    #[error("read {} at offset {offset}: {fault}; restore the file, or replace this member with a new one", .path.display())]
    Corrupt {
        /// The segment.
        path: PathBuf,
        /// Where in it the bad record starts, in bytes.
        offset: u64,
        /// The fault of the record.
        fault: Fault,
    },

    /// No snapshot mark that is committed, or not the segment that continues it.
    #[error("find where to start in the log in {}: {n_marks} snapshot marks, none usable at commit index {}; restore missing segments or replace this member", .dir.display(), .hard_state.commit)]
    NoStart {
        /// The log's directory.
        dir: PathBuf,
        /// How many marks the segments contain.
        n_marks: usize,
        /// The last hard state.
        hard_state: HardState,
    },

    /// The entries to append do not continue the log; nothing was written.
    #[error("append entry {index}: the log takes indices from {first} to {last} here")]
    NotContiguous {
        /// The index of the rejected entry.
        index: u64,
        /// The lowest index it could have had: behind the last mark, or behind the entry before it.
        first: u64,
        /// The highest index it could have had.
        last: u64,
    },

    /// Terms begin at 1: an entry, hard state or mark has no term; nothing was written.
    #[error("append {what}: it has no term")]
    NoTerm {
        /// The part without a term.
        what: &'static str,
    },

    /// A mark above index 0 must name the members; nothing was written.
    #[error("mark a snapshot at index {index}: the mark has no members")]
    MarkWithoutMembers {
        /// The mark's index.
        index: u64,
    },

    /// A mark below an earlier one would make recovery start from entries that may be gone; nothing was written.
    #[error(
        "mark a snapshot at index {index}, term {term}: there is a mark at index {last_index}, term {last_term}"
    )]
    MarkOutOfOrder {
        /// The rejected mark's index.
        index: u64,
        /// The rejected mark's term.
        term: u64,
        /// The last mark's index.
        last_index: u64,
        /// The last mark's term.
        last_term: u64,
    },

    /// An earlier write or sync failed, so what the disk holds is unknown.
    #[error("use the log: an earlier write failed; restart to recover what is durable")]
    Poisoned,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// A fault of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The length word contradicts itself.
    #[error("length word {word:#018x} is not one")]
    LengthWord {
        /// The eight bytes as a little-endian number.
        word: u64,
    },
    /// The record would end after the file.
    #[error("record of {len} bytes exceeds the file")]
    PastEnd {
        /// The length claimed.
        len: u64,
    },
    /// Not the encoding of a record.
    #[error("record is malformed")]
    Record,
    /// The running checksum differs.
    #[error("checksum is {found:08x}, expected {expected:08x}")]
    Checksum {
        /// The checksum of the bytes before and in the record.
        expected: u32,
        /// The value in the record.
        found: u32,
    },
    /// A record type that this crate does not know.
    #[error("record type {kind} is unknown")]
    Kind {
        /// The type number.
        kind: u64,
    },
    /// The record's checksum is right but its data is no entry, state, mark or metadata.
    #[error("{what} is malformed")]
    Data {
        /// The expected content.
        what: &'static str,
    },
    /// The segment does not begin with a checksum and the log's metadata.
    #[error("segment has no head")]
    Head,
    /// The segment's metadata differs from an earlier segment's.
    #[error("segment belongs to another log")]
    Metadata,
    /// An entry leaves out indices.
    #[error("entry has index {index}, expected {expected} at most")]
    Gap {
        /// The entry's index.
        index: u64,
        /// The highest index that would continue the log.
        expected: u64,
    },
    /// Two marks at the same index have different terms.
    #[error("snapshot mark at index {index} has term {found}, expected {expected}")]
    MarkTerm {
        /// The marks' index.
        index: u64,
        /// The term of the mark chosen as the start.
        expected: u64,
        /// The term found.
        found: u64,
    },
}
