//! Command line, environment and configuration file together.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::environment::read_environment;
use crate::file::read_file;
use crate::{LoadError, Settings, SourceDiagnostic};

/// The flags that the command line sets beside a configuration file, which has no keys for them, as in etcd. There the
/// environment sets them no more than others.
const BESIDE_FILE: [&str; 2] = ["raft-read-timeout", "raft-write-timeout"];

/// The settings of the configuration file if one is named, with two that no file can have from the command line; else those
/// of command line and environment.
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
        let mut of_file = read_file(file.as_ref(), diagnostics)?;
        of_file.adopt(&settings, &BESIDE_FILE);
        return Ok(of_file);
    }
    read_environment(&mut settings, variables, diagnostics)?;
    Ok(settings)
}

/// The settings that the configuration file has now. `started` are those that were loaded from `file` at the start.
///
/// Fails if it is no regular file any more, which could have the caller wait for ever, and if it sets nothing: a file that is
/// just being written looks like that, and all would go to its default. Diagnostics are pushed even then.
pub fn reload(
    file: &Path,
    started: &Settings,
    diagnostics: &mut Vec<SourceDiagnostic>,
) -> Result<Settings, LoadError> {
    let failed = |source| LoadError::FileRead { path: file.into(), source };
    if !std::fs::metadata(file).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    let mut settings = read_file(file, diagnostics)?;
    if settings.is_empty() {
        return Err(LoadError::FileEmpty { path: file.into() });
    }
    settings.adopt(started, &BESIDE_FILE);
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::{Command, Nanos, parse_command_line};

    #[test]
    fn timeouts_of_streams_between_members_come_from_the_command_line() {
        let dir = tempfile::tempdir().expect("there is room");
        let file = dir.path().join("etcd.yaml");
        std::fs::write(&file, "name: a").expect("there is room");
        let config_file = format!("--config-file={}", file.display());
        let args = [&config_file, "--raft-read-timeout=7s", "--raft-write-timeout=8s", "--max-wals=3"];
        let Ok(Command::Run(settings, None)) = parse_command_line(args.iter().map(OsString::from)) else {
            panic!("flags of the table");
        };
        let check = |settings: &Settings| {
            let timeouts = BESIDE_FILE.map(|flag| settings.duration(flag));
            assert_eq!(timeouts, [Nanos(7_000_000_000), Nanos(8_000_000_000)]);
            assert!(!settings.is_set("max-wals"));
        };
        let started = load(settings, None, &BTreeMap::new(), &mut Vec::new()).expect("it is well-formed");
        check(&started);
        let reloaded = reload(&file, &started, &mut Vec::new()).expect("it is well-formed");
        check(&reloaded);
        assert_eq!(started.differing(&reloaded).count(), 0);
    }
}
