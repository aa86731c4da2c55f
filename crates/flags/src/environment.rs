//! The environment: each flag can be set by a variable `ETCD_` and its name.

use std::collections::BTreeMap;

use crate::{FLAGS, LoadError, Settings, SourceDiagnostic};

/// Variables with the prefix of flags that belong to etcd's own builds and have nothing to act on here.
const NOT_FLAGS: [&str; 2] = ["ETCD_UNSUPPORTED_ARCH", "ETCD_VERIFY"];

/// The variable for a flag: `ETCD_INITIAL_CLUSTER_STATE` for `initial-cluster-state`.
fn variable_of(flag: &str) -> String {
    format!("ETCD_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// Adds what the environment sets to what the command line has set.
///
/// A flag set by both is an error, even to the same value: one of them would have no effect. Variables that belong to
/// no flag are only diagnostics, because container platforms set some (`ETCD_PORT`, `ETCD_SERVICE_HOST`).
pub(crate) fn read_environment(
    settings: &mut Settings,
    variables: &BTreeMap<String, String>,
    diagnostics: &mut Vec<SourceDiagnostic>,
) -> Result<(), LoadError> {
    let mut rest = variables.clone();
    rest.retain(|variable, _| variable.starts_with("ETCD_") && !NOT_FLAGS.contains(&variable.as_str()));
    // Images set a variable with this name to their version; it is not meant for the flag.
    if let Some(value) = rest.remove("ETCD_VERSION").filter(|value| !value.is_empty()) {
        diagnostics.push(SourceDiagnostic::VersionVariable { value });
    }
    for flag in &FLAGS {
        let variable = variable_of(flag.name);
        let Some(value) = rest.remove(&variable) else { continue };
        if settings.is_set(flag.name) {
            return Err(LoadError::ShadowedVariable { variable, value });
        }
        if value.is_empty() {
            continue;
        }
        if let Err(source) = settings.set(flag, &value) {
            return Err(LoadError::Variable { variable, value, source });
        }
        diagnostics.push(SourceDiagnostic::VariableUsed { variable, value });
    }
    diagnostics.extend(
        rest.into_iter().map(|(variable, value)| SourceDiagnostic::UnknownVariable { variable, value }),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::{Command, parse_command_line};

    fn read(
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<(Settings, Vec<SourceDiagnostic>), LoadError> {
        let Ok(Command::Run(mut settings, None)) = parse_command_line(args.iter().map(OsString::from)) else {
            panic!("{args:?}");
        };
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut diagnostics = Vec::new();
        read_environment(&mut settings, &variables, &mut diagnostics)?;
        Ok((settings, diagnostics))
    }

    #[test]
    fn variables_set_flags() {
        let variables =
            [("ETCD_NAME", "a"), ("ETCD_PRE_VOTE", "false"), ("ETCD_DATA_DIR", ""), ("OTHER", "x")];
        let (settings, diagnostics) = read(&["--max-wals=3"], &variables).unwrap();
        assert_eq!(settings.text("name"), "a");
        assert!(!settings.bool("pre-vote"));
        assert!(!settings.is_set("data-dir"));
        assert_eq!(settings.uint("max-wals"), 3);
        assert_eq!(diagnostics.len(), 2, "{diagnostics:?}");
    }

    #[test]
    fn a_flag_set_twice_is_an_error() {
        let error = read(&["--name=a"], &[("ETCD_NAME", "a")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "conflicting environment variable is shadowed by corresponding command-line flag \
             (either unset environment variable or disable flag))"
        );
    }

    #[test]
    fn bad_values_name_the_variable() {
        let error = read(&[], &[("ETCD_MAX_TXN_OPS", "x")]).unwrap_err();
        assert_eq!(error.to_string(), r#"invalid value "x" for ETCD_MAX_TXN_OPS: parse error"#);
    }

    #[test]
    fn unknown_variables_are_only_diagnostics() {
        let (settings, diagnostics) =
            read(&[], &[("ETCD_SERVICE_HOST", "10.0.0.1"), ("ETCD_VERSION", "v3.5"), ("ETCD_VERIFY", "all")])
                .unwrap();
        assert!(!settings.is_set("version"));
        assert!(matches!(
            &diagnostics[..],
            [SourceDiagnostic::VersionVariable { .. }, SourceDiagnostic::UnknownVariable { variable, .. }]
                if variable == "ETCD_SERVICE_HOST"
        ));
    }
}
