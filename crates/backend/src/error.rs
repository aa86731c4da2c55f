use std::fmt;
use std::io;

use thiserror::Error;

/// The way out for a member whose file is damaged: nothing in the file itself can help.
macro_rules! advice {
    () => {
        "restore this member from a snapshot, or remove it from the cluster and add it again with an empty data directory"
    };
}

/// Why a backend could not be opened. The text completes "failed to ...".
///
/// `place` is the file's path as given, or `the given medium`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another handle of this one, has the file open.
    #[error("open {place}: it is in use by another process; stop that one first")]
    InUse {
        /// The file.
        place: String,
    },

    /// The bytes are not a backend of this crate. The file was left as it is.
    #[error("open {place}: it {content}")]
    Foreign {
        /// The file.
        place: String,
        /// The kind of file that the bytes look like.
        content: Content,
    },

    /// The file was a backend, but its bytes can't be what was once committed.
    #[error("open {place}: it is damaged: {detail}; {}", advice!())]
    Corrupt {
        /// The file.
        place: String,
        /// The contradiction.
        detail: String,
    },

    /// The file system failed.
    #[error("{action} {place}")]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The file.
        place: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// The kind of a file that is not a backend. The text completes "the file ...".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// The database of an etcd server.
    Bolt,
    /// A redb file without the mark that backends carry.
    OtherRedb,
    /// A backend in a row format that this version does not know.
    Format(u32),
    /// A redb file in an older layout of that library.
    OldRedb(u8),
    /// Nothing known.
    Unknown,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bolt => f.write_str("is an etcd database (bbolt format)"),
            Self::OtherRedb => f.write_str("is a redb database of another program"),
            Self::Format(format) => write!(f, "has row format {format}, which this version does not know"),
            Self::OldRedb(version) => write!(f, "is a redb file of the old layout {version}"),
            Self::Unknown => {
                f.write_str(concat!("is not a database, or one with a damaged beginning; ", advice!()))
            }
        }
    }
}

/// Why reading or committing failed. The text completes "failed to ...".
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The medium failed to read, write or sync.
    #[error("{action} the database")]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The medium's reason.
        source: io::Error,
    },

    /// A commit or a read of the medium failed before; only opening the backend again helps.
    #[error("use the database after an earlier error; open it again")]
    Poisoned,

    /// Another file has taken the place of the one that was to be committed to. Nothing was changed.
    #[error("commit to a database that was replaced by another one")]
    Replaced,

    /// The bytes read can't be what was once committed.
    #[error("read {place}: it is damaged: {detail}; {}", advice!())]
    Corrupt {
        /// The file.
        place: String,
        /// The contradiction.
        detail: String,
    },

    /// A key or value is beyond the three gigabytes that a row can take. Nothing was changed.
    #[error("store a row of {bytes} bytes: too large")]
    TooLarge {
        /// Length of the key or value.
        bytes: usize,
    },
}

/// Why a backend was not rewritten. Its file is as before, unless said otherwise. The text completes "failed to ...".
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// The new file could not be created, or not be opened once it was whole.
    #[error(transparent)]
    Open(#[from] OpenError),

    /// The old file could not be read, or the new one not be written. [`Error::Replaced`] if another file has taken the old
    /// one's place meanwhile.
    #[error(transparent)]
    Rows(#[from] Error),

    /// The new file does not have as many rows as the old one, or as many bytes in them.
    #[error("rewrite the database: the new file has other rows than the old one")]
    Differs,

    /// It is not known which of the files has the name. The backend commits no more.
    #[error("rewrite the database: give the new file the name of the old one")]
    Name {
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    /// The place is filled in by the storage that the error comes from.
    pub(crate) fn corrupt(detail: impl fmt::Display) -> Self {
        Self::Corrupt { place: String::new(), detail: detail.to_string() }
    }

    pub(crate) fn from_storage(action: &'static str, error: redb::StorageError) -> Self {
        match error {
            redb::StorageError::Io(source) => Self::Io { action, source },
            redb::StorageError::Corrupted(detail) => Self::corrupt(detail),
            redb::StorageError::ValueTooLarge(bytes) => Self::TooLarge { bytes },
            redb::StorageError::PreviousIo
            | redb::StorageError::DatabaseClosed
            | redb::StorageError::LockPoisoned(_) => Self::Poisoned,
            other => Self::corrupt(other),
        }
    }

    pub(crate) fn from_transaction(action: &'static str, error: redb::TransactionError) -> Self {
        match error {
            redb::TransactionError::Storage(error) => Self::from_storage(action, error),
            other => Self::corrupt(other),
        }
    }

    pub(crate) fn from_table(action: &'static str, error: redb::TableError) -> Self {
        match error {
            redb::TableError::Storage(error) => Self::from_storage(action, error),
            other => Self::corrupt(other),
        }
    }

    pub(crate) fn from_commit(action: &'static str, error: redb::CommitError) -> Self {
        match error {
            redb::CommitError::Storage(error) => Self::from_storage(action, error),
            _ => Self::Poisoned,
        }
    }

    /// The same failure, met while opening `place`.
    pub(crate) fn while_opening(self, place: &str) -> OpenError {
        let place = place.to_owned();
        match self {
            Self::Io { action, source } => OpenError::Io { action, place, source },
            Self::Corrupt { detail, .. } => OpenError::Corrupt { place, detail },
            Self::Poisoned | Self::Replaced | Self::TooLarge { .. } => {
                OpenError::Corrupt { place, detail: self.to_string() }
            }
        }
    }
}
