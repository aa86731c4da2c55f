//! Where lines are written.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::journal::Journal;
use crate::rotation::RotatedFile;
use crate::{OpenError, Output, Rotation, Severity};

/// An opened [`Output`].
///
/// Each line is one `write`, which the kernel keeps apart from those of other threads and, at the end of a file,
/// other processes; so there is no lock of our own to wait for, unless files are rotated.
pub(super) enum Sink {
    Stderr,
    Stdout,
    Journal(Journal),
    File(File),
    Rotated(RotatedFile),
    #[cfg(test)]
    Memory(std::sync::Arc<std::sync::Mutex<String>>),
}

impl Sink {
    /// Opens an output; files are created if missing, readable for the owner alone. `None` if it is the journal and
    /// there is none.
    pub(super) fn open(output: &Output, rotation: Option<Rotation>) -> Result<Option<Self>, OpenError> {
        Ok(Some(match output {
            Output::Stderr => Self::Stderr,
            Output::Stdout => Self::Stdout,
            Output::Journal => return Ok(Journal::connect().ok().map(Self::Journal)),
            Output::File(path) => {
                let failed = |source| OpenError { path: path.clone(), source };
                match rotation {
                    Some(rotation) => {
                        Self::Rotated(RotatedFile::open(path.clone(), rotation).map_err(failed)?)
                    }
                    None => Self::File(append(path).map_err(failed)?),
                }
            }
        }))
    }

    /// Writes a line that ends in a line break. An error has no place where it could be logged.
    pub(super) fn write(&self, severity: Severity, line: &str) {
        let _ = self.try_write(severity, line);
    }

    /// The same for lines of an audit log.
    pub(super) fn try_write_line(&self, line: &str) -> io::Result<()> {
        self.try_write(Severity::Info, line)
    }

    fn try_write(&self, severity: Severity, line: &str) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().lock().write_all(line.as_bytes()),
            Self::Stdout => io::stdout().lock().write_all(line.as_bytes()),
            Self::Journal(journal) => journal.send(severity, line.trim_end()),
            Self::File(file) => (&mut &*file).write_all(line.as_bytes()),
            Self::Rotated(file) => file.write(line.as_bytes()),
            #[cfg(test)]
            Self::Memory(lines) => {
                lines.lock().expect("no test panics with it").push_str(line);
                Ok(())
            }
        }
    }
}

/// Opens a file to write at its end.
pub(super) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
