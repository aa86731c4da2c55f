//! The command line, in the syntax of Go's flag package.

use std::ffi::OsString;

use crate::suggestion::suggestion;
use crate::{Flag, Settings, ValueError, table};

/// The command in a command line.
#[derive(Debug)]
pub enum Command {
    /// Run the server. An argument that follows the flags is the second part, and an error.
    Run(Settings, Option<String>),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// A command line that can't be read; the exit status is 2.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Dashes without a name.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// No flag has this name.
    #[error("flag provided but not defined: -{name}{}", suggestion(name))]
    Unknown {
        /// The name as written.
        name: String,
    },
    /// The last argument is a flag that takes a value.
    #[error("flag needs an argument: -{0}")]
    MissingValue(&'static str),
    /// The value is not of the flag's kind.
    #[error("invalid value {value:?} for flag -{name}: {source}")]
    Value {
        /// The flag.
        name: &'static str,
        /// The text given for it.
        value: String,
        /// What is wrong with it.
        source: ValueError,
    },
    /// The value of a switch is neither true nor false.
    #[error("invalid boolean value {value:?} for -{name}: {source}")]
    Bool {
        /// The flag.
        name: &'static str,
        /// The text given for it.
        value: String,
        /// What is wrong with it.
        source: ValueError,
    },
    /// The argument is not UTF-8.
    #[error("argument is not valid UTF-8: {0:?}")]
    NotUtf8(OsString),
}

/// Reads the arguments behind the program's name.
///
/// Flags end at the first argument that is not one, or behind `--`. A flag given twice has its last value.
pub fn parse_command_line(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut args = args.into_iter().map(|arg| arg.into_string().map_err(UsageError::NotUtf8));
    let mut settings = Settings::default();
    let mut leftover = None;
    while let Some(arg) = args.next().transpose()? {
        let Some((name, value)) = split(&arg)? else {
            leftover = if arg == "--" { args.next().transpose()? } else { Some(arg) };
            break;
        };
        let Some(flag) = table::find(name) else {
            if matches!(name, "help" | "h") {
                return Ok(Command::Help);
            }
            return Err(UsageError::Unknown { name: name.to_owned() });
        };
        let value = match value {
            Some(value) => value.to_owned(),
            None if flag.is_switch() => "true".to_owned(),
            None => args.next().transpose()?.ok_or(UsageError::MissingValue(flag.name))?,
        };
        settings.set(flag, &value).map_err(|source| invalid(flag, value, source))?;
    }
    if leftover.is_none() && settings.bool("version") {
        return Ok(Command::Version);
    }
    Ok(Command::Run(settings, leftover))
}

/// Splits `-name=value` or `--name`; `None` if the argument is not a flag.
fn split(arg: &str) -> Result<Option<(&str, Option<&str>)>, UsageError> {
    let Some(name) = arg.strip_prefix('-').filter(|rest| !rest.is_empty() && *rest != "-") else {
        return Ok(None);
    };
    let name = name.strip_prefix('-').unwrap_or(name);
    if name.starts_with(['-', '=']) {
        return Err(UsageError::Syntax(arg.to_owned()));
    }
    Ok(Some(match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    }))
}

fn invalid(flag: &Flag, value: String, source: ValueError) -> UsageError {
    if flag.is_switch() {
        UsageError::Bool { name: flag.name, value, source }
    } else {
        UsageError::Value { name: flag.name, value, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Command, UsageError> {
        parse_command_line(args.iter().map(OsString::from))
    }

    fn settings(args: &[&str]) -> Settings {
        match parse(args).unwrap() {
            Command::Run(settings, None) => settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_are_written_as_in_go() {
        for args in
            [&["-name", "a"][..], &["--name", "a"], &["-name=a"], &["--name=a"], &["--name=b", "-name=a"]]
        {
            assert_eq!(settings(args).text("name"), "a", "{args:?}");
        }
        assert_eq!(settings(&["--name="]).text("name"), "");
        assert_eq!(settings(&["--initial-cluster=a=http://h:1"]).text("initial-cluster"), "a=http://h:1");
        assert_eq!(settings(&["--name", "--data-dir"]).text("name"), "--data-dir");
        assert_eq!(settings(&["--name", "a", "--"]).text("name"), "a");
        assert_eq!(settings(&[]).text("name"), "default");
    }

    #[test]
    fn switches_take_a_value_only_behind_an_equals_sign() {
        assert!(settings(&["--pre-vote"]).bool("pre-vote"));
        assert!(!settings(&["--pre-vote=false"]).bool("pre-vote"));
        assert!(!settings(&["-pre-vote=F"]).bool("pre-vote"));
        assert!(matches!(parse(&["--pre-vote", "false"]), Ok(Command::Run(_, Some(arg))) if arg == "false"));
    }

    #[test]
    fn arguments_behind_the_flags_are_kept() {
        assert!(matches!(parse(&["a", "--nope"]), Ok(Command::Run(_, Some(arg))) if arg == "a"));
        assert!(matches!(parse(&["--", "--name"]), Ok(Command::Run(_, Some(arg))) if arg == "--name"));
        assert!(matches!(parse(&["-"]), Ok(Command::Run(_, Some(arg))) if arg == "-"));
        assert!(matches!(parse(&["--version", "a"]), Ok(Command::Run(_, Some(arg))) if arg == "a"));
    }

    #[test]
    fn help_and_version() {
        for args in [&["-h"][..], &["--help"], &["-help"], &["--name=a", "-h", "--nope"], &["--h=1"]] {
            assert!(matches!(parse(args), Ok(Command::Help)), "{args:?}");
        }
        assert!(matches!(parse(&["--version"]), Ok(Command::Version)));
        assert!(matches!(parse(&["--version=false"]), Ok(Command::Run(..))));
    }

    #[test]
    fn feature_gates_add_up() {
        let args = ["--feature-gates=AllAlpha=true", "--feature-gates", "PriorityRequest=false"];
        let gates = settings(&args).gates("feature-gates");
        assert!(gates.is_enabled("InitialCorruptCheck") && !gates.is_enabled("PriorityRequest"));
    }

    #[test]
    fn errors_read_as_in_go() {
        fn check(args: &[&str], expected: &str) {
            assert_eq!(parse(args).unwrap_err().to_string(), expected);
        }
        check(&["---name"], "bad flag syntax: ---name");
        check(&["--=a"], "bad flag syntax: --=a");
        check(&["-=a"], "bad flag syntax: -=a");
        check(&["--name"], "flag needs an argument: -name");
        check(&["--max-txn-ops=x"], r#"invalid value "x" for flag -max-txn-ops: parse error"#);
        check(&["--max-txn-ops=-1"], r#"invalid value "-1" for flag -max-txn-ops: parse error"#);
        check(
            &["--max-concurrent-streams=4294967296"],
            r#"invalid value "4294967296" for flag -max-concurrent-streams: strconv.ParseUint: parsing "4294967296": value out of range"#,
        );
        check(
            &["--max-concurrent-streams=x"],
            r#"invalid value "x" for flag -max-concurrent-streams: strconv.ParseUint: parsing "x": invalid syntax"#,
        );
        check(
            &["--quota-backend-bytes=9223372036854775808"],
            r#"invalid value "9223372036854775808" for flag -quota-backend-bytes: value out of range"#,
        );
        check(
            &["--feature-gates=Nope=true"],
            r#"invalid value "Nope=true" for flag -feature-gates: unrecognized feature gate: Nope"#,
        );
        check(
            &["--v2-deprecation=gone,not-yet"],
            r#"invalid value "gone,not-yet" for flag -v2-deprecation: invalid value "not-yet""#,
        );
        check(&["--pre-vote=x"], r#"invalid boolean value "x" for -pre-vote: parse error"#);
        check(
            &["--grpc-keepalive-timeout", "5"],
            r#"invalid value "5" for flag -grpc-keepalive-timeout: parse error"#,
        );
        check(
            &["--grpc-keepalive-timeout", "3000000h"],
            r#"invalid value "3000000h" for flag -grpc-keepalive-timeout: parse error"#,
        );
        check(
            &["--initial-cluster-state=x"],
            r#"invalid value "x" for flag -initial-cluster-state: invalid value"#,
        );
        check(
            &["--listen-client-urls=foo"],
            "invalid value \"foo\" for flag -listen-client-urls: \
             URL scheme must be http, https, unix, or unixs: foo",
        );
        check(&["--zzzzzzzzzzzz=1"], "flag provided but not defined: -zzzzzzzzzzzz");
    }

    #[test]
    fn ignored_flags_accept_anything() {
        let settings = settings(&["--force", "--v=9", "--retry-interval=soon"]);
        let names: Vec<_> = settings.ignored().map(|flag| flag.name).collect();
        assert_eq!(names, ["force", "retry-interval", "v"]);
    }

    #[test]
    fn an_empty_list_of_urls_keeps_the_default() {
        let settings = settings(&["--listen-client-urls="]);
        assert!(settings.is_set("listen-client-urls"));
        assert_eq!(settings.urls("listen-client-urls")[0].as_str(), "http://localhost:2379");
    }
}
