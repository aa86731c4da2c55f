//! Command line, environment and configuration file together.

use std::collections::BTreeMap;
use std::path::Path;

use crate::environment::read_environment;
use crate::file::read_file;
use crate::{LoadError, Settings, SourceDiagnostic};

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

/// The settings that the configuration file has now. `file` is that of settings that have been loaded.
pub fn reload(file: &Path, diagnostics: &mut Vec<SourceDiagnostic>) -> Result<Settings, LoadError> {
    read_file(file, diagnostics)
}
