//! The configuration file: YAML or JSON, one key per flag.

use std::path::Path;

use ferretcd_membership::UrlError;
use serde_norway::Value as Yaml;

use crate::{FLAGS, Flag, Kind, LoadError, Nanos, Settings, SourceDiagnostic, Value, ValueError};

/// Reads the settings of a configuration file. Command line and environment have no effect beside it.
///
/// Durations are integers in nanoseconds, as in etcd; texts like `5s` are accepted, too. Keys match in any case.
/// Unknown keys and nulls are skipped.
pub(crate) fn read_file(path: &Path, diagnostics: &mut Vec<SourceDiagnostic>) -> Result<Settings, LoadError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| LoadError::FileRead { path: path.into(), source })?;
    let (settings, unknown) = read(path, &text)?;
    diagnostics.push(SourceDiagnostic::FileUsed { path: path.into() });
    if !unknown.is_empty() {
        diagnostics.push(SourceDiagnostic::UnknownFileKeys { path: path.into(), keys: unknown });
    }
    Ok(settings)
}

/// The settings in `text`, and the keys that belong to no flag. `path` is for errors only.
fn read(path: &Path, text: &str) -> Result<(Settings, Vec<String>), LoadError> {
    let syntax = |source| LoadError::FileSyntax { path: path.into(), source };
    let document: Yaml = serde_norway::from_str(text).map_err(syntax)?;
    if !matches!(document, Yaml::Mapping(_) | Yaml::Null) {
        return Err(LoadError::FileNotMapping { path: path.into() });
    }
    let mut settings = Settings::for_file();
    for flag in &FLAGS {
        let Some(key) = flag.file_key else { continue };
        let Some(value) = lookup(&document, key) else { continue };
        let value = convert(flag, value).map_err(|problem| match problem {
            Problem::Expected(expected) => LoadError::FileValue {
                path: path.into(),
                key,
                expected,
                found: serde_json::to_string(value).unwrap_or_default(),
            },
            Problem::Urls(source) => LoadError::FileUrls { path: path.into(), key, source },
        })?;
        settings.insert(flag, value);
    }
    let mut unknown = Vec::new();
    collect_unknown(&document, "", &mut unknown);
    Ok((settings, unknown))
}

/// The value at a dotted path, unless it is null.
fn lookup<'a>(document: &'a Yaml, path: &str) -> Option<&'a Yaml> {
    path.split('.')
        .try_fold(document, |value, wanted| {
            let (_, value) = value
                .as_mapping()?
                .iter()
                .find(|(key, _)| key.as_str().is_some_and(|key| key.eq_ignore_ascii_case(wanted)))?;
            Some(value)
        })
        .filter(|value| !value.is_null())
}

/// Appends the dotted paths that no flag has.
fn collect_unknown(value: &Yaml, prefix: &str, unknown: &mut Vec<String>) {
    for (key, value) in value.as_mapping().into_iter().flatten() {
        let path = format!("{prefix}{}", scalar_text(key).unwrap_or_default());
        let known = |wanted: &str| {
            FLAGS.iter().filter_map(|flag| flag.file_key).any(|key| {
                key.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted))
                    && matches!(key.as_bytes().get(wanted.len()), None | Some(b'.'))
            })
        };
        if !known(&path) {
            unknown.push(path);
        } else if value.is_mapping() {
            collect_unknown(value, &format!("{path}."), unknown);
        }
    }
}

/// Why a value does not fit its flag.
enum Problem {
    Expected(&'static str),
    Urls(UrlError),
}

fn convert(flag: &Flag, value: &Yaml) -> Result<Value, Problem> {
    let expected = |what| move || Problem::Expected(what);
    Ok(match flag.kind {
        Kind::Text | Kind::OneOf(_) => Value::Text(scalar_text(value).ok_or_else(expected("a text"))?),
        Kind::Uint(max) => Value::Uint(
            value.as_u64().filter(|n| *n <= max).ok_or_else(expected("a number that is not negative"))?,
        ),
        Kind::Int => Value::Int(value.as_i64().ok_or_else(expected("a number"))?),
        Kind::Bool => Value::Bool(value.as_bool().ok_or_else(expected("true or false"))?),
        Kind::Duration => Value::Duration(nanos(value).ok_or_else(expected("a number of nanoseconds"))?),
        Kind::List => Value::List(texts(value).ok_or_else(expected("a list of texts"))?),
        Kind::Urls | Kind::Origins => {
            let urls = texts(value).ok_or_else(expected("a text with URLs separated by commas"))?.join(",");
            flag.kind.parse(&urls, flag.default).map_err(|error| match error {
                ValueError::Url(source) => Problem::Urls(source),
                ValueError::Scalar(_) | ValueError::NotOneOf(_) => Problem::Expected("URLs"),
            })?
        }
        Kind::Ignored => Value::Ignored,
    })
}

/// A scalar as text: names and tokens that look like numbers need no quotes.
fn scalar_text(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) => Some(text.clone()),
        Yaml::Number(number) => Some(number.to_string()),
        Yaml::Bool(bool) => Some(bool.to_string()),
        _ => None,
    }
}

/// A sequence of scalars, or one text with commas.
fn texts(value: &Yaml) -> Option<Vec<String>> {
    match value {
        Yaml::Sequence(items) => items.iter().map(scalar_text).collect(),
        Yaml::String(text) if text.is_empty() => Some(Vec::new()),
        Yaml::String(text) => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
        _ => None,
    }
}

fn nanos(value: &Yaml) -> Option<Nanos> {
    match value {
        Yaml::String(text) => text.parse().ok(),
        _ => value.as_i64().map(Nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Settings, Vec<String>) {
        read(Path::new("c.yaml"), text).unwrap()
    }

    fn check_error(text: &str, expected: &str) {
        assert_eq!(read(Path::new("c.yaml"), text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_file_with_every_kind_of_value() {
        let (settings, unknown) = read_text(
            "name: s1
data-dir: /var/lib/s1
listen-client-urls: http://127.0.0.1:2379,http://127.0.0.1:2378
advertise-client-urls: http://localhost:2379
snapshot-count: 500
quota-backend-bytes: -1
pre-vote: false
grpc-keepalive-interval: 3000000000
compaction-sleep-interval: 5ms
auto-compaction-retention: 1
initial-cluster-token:
log-outputs: [stderr, x.log]
cors: '*'
socket-options:
  reuse-port: true
peer-transport-security: {cert-file: p.crt, allowed-cn: [a, b]}
discovery-config: {client: {endpoints: [h:1], auth: {username: u}}}
",
        );
        assert_eq!(settings.text("name"), "s1");
        assert_eq!(settings.urls("listen-client-urls").len(), 2);
        assert_eq!(settings.uint("snapshot-count"), 500);
        assert_eq!(settings.int("quota-backend-bytes"), -1);
        assert!(!settings.bool("pre-vote"));
        assert_eq!(settings.duration("grpc-keepalive-interval"), Nanos(3_000_000_000));
        assert_eq!(settings.duration("compaction-sleep-interval"), Nanos(5_000_000));
        assert_eq!(settings.text("auto-compaction-retention"), "1");
        assert!(!settings.is_set("initial-cluster-token"));
        assert_eq!(settings.list("log-outputs"), ["stderr", "x.log"]);
        assert!(settings.bool("socket-reuse-port"));
        assert_eq!(settings.text("peer-cert-file"), "p.crt");
        assert_eq!(settings.list("peer-cert-allowed-cn"), ["a", "b"]);
        assert_eq!(settings.list("discovery-endpoints"), ["h:1"]);
        assert_eq!(settings.text("discovery-user"), "u");
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn json_and_an_empty_file() {
        let (settings, _) = read_text(r#"{"name": "a", "Max-Txn-Ops": 7, "cors": "http://h:1"}"#);
        assert_eq!((settings.text("name"), settings.uint("max-txn-ops")), ("a".to_owned(), 7));
        assert_eq!(settings.list("cors"), ["http://h:1"]);
        assert!(!read_text("").0.is_set("name"));
    }

    #[test]
    fn unknown_keys_are_skipped() {
        let (_, unknown) = read_text(
            "nmae: a\nenable-v2: true\nversion: 1\nsocket-options: {reuse-prot: true}\n1: 2\nsocket: 1\n",
        );
        assert_eq!(unknown, ["nmae", "enable-v2", "version", "socket-options.reuse-prot", "1", "socket"]);
    }

    #[test]
    fn errors_name_the_file_and_the_key() {
        check_error("- a", r#"read config file "c.yaml": expected a mapping of keys to values"#);
        check_error(
            "snapshot-count: many",
            r#"read config file "c.yaml": key snapshot-count: expected a number that is not negative, found "many""#,
        );
        check_error(
            "max-txn-ops: -1",
            r#"read config file "c.yaml": key max-txn-ops: expected a number that is not negative, found -1"#,
        );
        check_error(
            "pre-vote: 'no'",
            r#"read config file "c.yaml": key pre-vote: expected true or false, found "no""#,
        );
        check_error(
            "grpc-keepalive-timeout: 1.5",
            r#"read config file "c.yaml": key grpc-keepalive-timeout: expected a number of nanoseconds, found 1.5"#,
        );
        check_error("name: [a]", r#"read config file "c.yaml": key name: expected a text, found ["a"]"#);
        check_error(
            "listen-peer-urls: foo",
            "read config file \"c.yaml\": unexpected error setting up listen-peer-urls: \
             URL scheme must be http, https, unix, or unixs: foo",
        );
        let error = read(Path::new("c.yaml"), "name: [").unwrap_err().to_string();
        assert!(error.starts_with(r#"read config file "c.yaml": "#), "{error}");
    }
}
