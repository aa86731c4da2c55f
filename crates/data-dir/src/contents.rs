//! What is in a data directory before the server touches it.

use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

/// What is in a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Nothing of ours; the directory may not exist.
    Empty,
    /// The files of a member.
    Member,
}

/// A data directory that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// It can't be listed.
    #[error("read data directory {path:?}: {source}")]
    Read {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It belonged to a proxy of etcd 2.
    #[error("use data directory {0:?}: it has a \"proxy\" directory, of a proxy that etcd no longer has")]
    Proxy(PathBuf),
}

impl Contents {
    /// Looks into `path`. Files that no member makes are named in a warning and left alone.
    pub fn identify(path: &Path) -> Result<Self, ContentsError> {
        let error = |source| ContentsError::Read { path: path.into(), source };
        let entries = match path.read_dir() {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Self::Empty),
            entries => entries.map_err(error)?,
        };
        let mut found = Self::Empty;
        for entry in entries {
            let name = entry.map_err(error)?.file_name();
            match name.to_str() {
                Some("member") => found = Self::Member,
                Some("proxy") => return Err(ContentsError::Proxy(path.into())),
                Some("fixtures" | "lost+found") => {}
                _ => warn!(
                    filename = %name.display(),
                    "data-dir" = %path.display(),
                    "found invalid file under data directory"
                ),
            }
        }
        Ok(found)
    }

    /// The name in log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Member => "member",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert_eq!(Contents::identify(&path.join("none")).unwrap(), Contents::Empty);
        assert_eq!(Contents::identify(path).unwrap(), Contents::Empty);
        std::fs::write(path.join("other"), "").unwrap();
        assert_eq!(Contents::identify(path).unwrap(), Contents::Empty);
        std::fs::create_dir(path.join("member")).unwrap();
        assert_eq!(Contents::identify(path).unwrap(), Contents::Member);
        std::fs::create_dir(path.join("proxy")).unwrap();
        assert!(matches!(Contents::identify(path), Err(ContentsError::Proxy(_))));
    }

    #[test]
    fn a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Contents::identify(file.path()), Err(ContentsError::Read { .. })));
    }
}
