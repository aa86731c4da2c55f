//! What reading environment or file has to say beside values and errors.

use std::path::PathBuf;

/// An observation about environment or configuration file that deserves a log line and is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceDiagnostic {
    /// A variable has set its flag.
    VariableUsed {
        /// The variable's name.
        variable: String,
        /// Its value.
        value: String,
    },
    /// A variable is named like a flag's, and there is no such flag.
    UnknownVariable {
        /// The variable's name.
        variable: String,
        /// Its value.
        value: String,
    },
    /// `ETCD_VERSION` is set, which does not set `--version`.
    VersionVariable {
        /// Its value.
        value: String,
    },
    /// All settings come from this file.
    FileUsed {
        /// The file.
        path: PathBuf,
    },
    /// Behind the document that counts the file has more.
    FileHasMore {
        /// The file.
        path: PathBuf,
    },
    /// The file has keys that belong to no flag.
    UnknownFileKeys {
        /// The file.
        path: PathBuf,
        /// The keys, with dots between the levels.
        keys: Vec<String>,
    },
}
