//! Command line, environment and configuration file together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::environment::read_environment;
use crate::file::read_file;
use crate::{LoadError, Settings};

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
    /// The file has keys that belong to no flag.
    UnknownFileKeys {
        /// The file.
        path: PathBuf,
        /// The keys, with dots between the levels.
        keys: Vec<String>,
    },
}

/// The settings of the configuration file if one is named, else those of command line and environment.
///
/// `settings` and `leftover` are what [`parse_command_line`](crate::parse_command_line) returned; `variables` is the
/// environment. Diagnostics are pushed even when this fails.
pub fn load(
    mut settings: Settings,
    leftover: Option<String>,
    variables: &BTreeMap<String, String>,
    diagnostics: &mut Vec<SourceDiagnostic>,
) -> Result<Settings, LoadError> {
    if let Some(argument) = leftover {
        return Err(LoadError::Positional(argument));
    }
    let file = match settings.text("config-file") {
        file if file.is_empty() => variables.get("ETCD_CONFIG_FILE").cloned().unwrap_or_default(),
        file => file,
    };
    if !file.is_empty() {
        return read_file(file.as_ref(), diagnostics);
    }
    read_environment(&mut settings, variables, diagnostics)?;
    Ok(settings)
}
