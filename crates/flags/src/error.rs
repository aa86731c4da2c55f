//! Errors of the environment and of the configuration file.

use std::io;
use std::path::PathBuf;

use ferretcd_membership::UrlError;

use crate::{ValueError, YamlError};

/// Settings that can't be loaded.
///
/// The texts are part of the interface: people and tools know them from etcd, so they are not fragments in this
/// project's usual form.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// An argument follows the flags.
    #[error("{0:?} is not a valid flag")]
    Positional(String),
    /// A flag is set by the command line and by the environment.
    #[error(
        "conflicting environment variable is shadowed by corresponding command-line flag \
         (either unset environment variable or disable flag))"
    )]
    ShadowedVariable {
        /// The variable's name.
        variable: String,
        /// Its value.
        value: String,
    },
    /// The value of a variable is not of its flag's kind.
    #[error("invalid value {value:?} for {variable}: {source}")]
    Variable {
        /// The variable's name.
        variable: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        source: ValueError,
    },
    /// The configuration file can't be read.
    #[error("read config file {path:?}: {source}; make the file readable or correct --config-file")]
    FileRead {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration file is neither YAML nor JSON.
    #[error("read config file {path:?}: {source}; correct the file")]
    FileSyntax {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: YamlError,
    },
    /// The configuration file is a list or a scalar.
    #[error(
        "read config file {path:?}: expected a mapping of keys to values; write one flag a line, as in name: a"
    )]
    FileNotMapping {
        /// The file.
        path: PathBuf,
    },
    /// The configuration file that is read again sets nothing.
    #[error("read config file {path:?}: it sets no flag; write one a line, as in name: a")]
    FileEmpty {
        /// The file.
        path: PathBuf,
    },
    /// A value of the configuration file has the wrong type.
    #[error("read config file {path:?}: key {key}: expected {expected}, found {found}{advice}")]
    FileValue {
        /// The file.
        path: PathBuf,
        /// The key, with dots between the levels.
        key: String,
        /// The type that the key takes.
        expected: String,
        /// The value as JSON.
        found: String,
        /// What to write instead, behind a semicolon; empty if nothing is known.
        advice: String,
    },
    /// A text in the configuration file has another form.
    #[error("read config file {path:?}: {source}")]
    FileText {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ValueError,
    },
    /// A list of URLs in the configuration file can't be parsed.
    #[error("read config file {path:?}: unexpected error setting up {key}: {source}")]
    FileUrls {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong with the URL.
        source: UrlError,
    },
}
