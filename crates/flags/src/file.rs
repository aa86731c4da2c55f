//! The configuration file: YAML or JSON, one key per flag, judged as etcd judges it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::file_value::{Problem, convert};
use crate::yaml::{self, Yaml};
use crate::{FLAGS, Flag, LoadError, Settings, SourceDiagnostic, Value, ValueError};

/// The one section that etcd rejects when nothing is in it.
const NEVER_EMPTY: &str = "peer-transport-security";
/// Where an empty text or zero means the default, which it would not on the command line.
const EMPTY_IS_DEFAULT: [&str; 2] = ["initial-cluster-state", "self-signed-cert-validity"];

/// Reads the settings of a configuration file, those of nothing else.
///
/// Durations are integers in nanoseconds. Keys match in any case; of several that do, the last in the order of their
/// bytes counts. Unknown keys and nulls are skipped.
pub(crate) fn read_file(path: &Path, diagnostics: &mut Vec<SourceDiagnostic>) -> Result<Settings, LoadError> {
    let text = std::fs::read(path).map_err(|source| LoadError::FileRead { path: path.into(), source })?;
    let reader = read(path, &text)?;
    diagnostics.push(SourceDiagnostic::FileUsed { path: path.into() });
    if reader.has_more {
        diagnostics.push(SourceDiagnostic::FileHasMore { path: path.into() });
    }
    if !reader.unknown.is_empty() {
        diagnostics.push(SourceDiagnostic::UnknownFileKeys { path: path.into(), keys: reader.unknown });
    }
    Ok(reader.settings)
}

/// The settings in `text`. `path` is for errors only.
fn read<'a>(path: &'a Path, text: &[u8]) -> Result<Reader<'a>, LoadError> {
    let (document, has_more) =
        yaml::read(text).map_err(|source| LoadError::FileSyntax { path: path.into(), source })?;
    let mut reader = Reader { path, settings: Settings::for_file(path), unknown: Vec::new(), has_more };
    match &document {
        Yaml::Map(map) => reader.section("", "", map)?,
        Yaml::Null => {}
        _ => return Err(LoadError::FileNotMapping { path: path.into() }),
    }
    Ok(reader)
}

struct Reader<'a> {
    path: &'a Path,
    settings: Settings,
    /// Keys that belong to no flag, as they are written.
    unknown: Vec<String>,
    has_more: bool,
}

impl Reader<'_> {
    /// Takes the entries of a map. `prefix` is where the map is, `shown` the same as it is written; both end in a dot
    /// unless they are empty.
    fn section(&mut self, prefix: &str, shown: &str, map: &BTreeMap<String, Yaml>) -> Result<(), LoadError> {
        for (key, value) in map {
            let (place, shown) = (format!("{prefix}{}", fold(key)), format!("{shown}{key}"));
            if let Some(flag) = FLAGS.iter().find(|flag| flag.file_key == Some(&place)) {
                self.setting(flag, value)?;
                continue;
            }
            let inner = format!("{place}.");
            if !FLAGS.iter().any(|flag| flag.file_key.is_some_and(|key| key.starts_with(&inner))) {
                self.unknown.push(shown);
                continue;
            }
            match value {
                Yaml::Map(map) => self.section(&inner, &format!("{shown}."), map)?,
                Yaml::Null if shown != NEVER_EMPTY => {}
                _ => return Err(self.error(&place, Problem::new("a mapping of keys to values", value))),
            }
        }
        Ok(())
    }

    fn setting(&mut self, flag: &'static Flag, value: &Yaml) -> Result<(), LoadError> {
        let key = flag.file_key.unwrap_or(flag.name);
        match convert(flag, value).map_err(|problem| self.error(key, problem))? {
            Some(Value::Text(text)) if text.is_empty() && EMPTY_IS_DEFAULT.contains(&flag.name) => {}
            Some(Value::Uint(0)) if EMPTY_IS_DEFAULT.contains(&flag.name) => {}
            Some(value) => self.settings.insert(flag, value),
            None => {}
        }
        Ok(())
    }

    fn error(&self, key: &str, problem: Problem) -> LoadError {
        let (path, key) = (self.path.into(), key.to_owned());
        match problem {
            Problem::Type { expected, found, advice } => {
                LoadError::FileValue { path, key, expected, found, advice }
            }
            Problem::Text(ValueError::Url(source)) => LoadError::FileUrls { path, key, source },
            Problem::Text(source) => LoadError::FileText { path, source },
        }
    }
}

/// A key as it is compared: in small letters, of which `s` and `k` have a third form each in Unicode.
fn fold(key: &str) -> String {
    key.to_ascii_lowercase().replace('\u{17f}', "s").replace('\u{212a}', "k")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Nanos;

    fn read_text(text: &str) -> (Settings, Vec<String>) {
        let reader = read(Path::new("c.yaml"), text.as_bytes()).unwrap();
        (reader.settings, reader.unknown)
    }

    fn check_error(text: &str, expected: &str) {
        let Err(error) = read(Path::new("c.yaml"), text.as_bytes()) else { panic!("{text}") };
        assert_eq!(error.to_string(), format!(r#"read config file "c.yaml": {expected}"#));
    }

    #[test]
    fn a_file_with_every_kind_of_value() {
        let (settings, unknown) = read_text(
            "name: s1
data-dir: /var/lib/s1
listen-client-urls: http://127.0.0.1:2379,http://127.0.0.1:2378
advertise-client-urls: http://localhost:2379
snapshot-count: 0o764
quota-backend-bytes: -1
pre-vote: off
grpc-keepalive-interval: 3e9
auto-compaction-retention: '1'
initial-cluster-token:
log-outputs: [stderr, x.log]
cors: '*'
host-whitelist: b,a
socket-options:
  reuse-port: yes
peer-transport-security: {cert-file: p.crt, allowed-cn: [a, b]}
discovery-config: {client: {endpoints: ['h:1'], auth: {username: u}}}
",
        );
        assert_eq!(settings.text("name"), "s1");
        assert_eq!(settings.urls("listen-client-urls").len(), 2);
        assert_eq!(settings.uint("snapshot-count"), 500);
        assert_eq!(settings.int("quota-backend-bytes"), -1);
        assert!(!settings.bool("pre-vote"));
        assert_eq!(settings.duration("grpc-keepalive-interval"), Nanos(3_000_000_000));
        assert_eq!(settings.text("auto-compaction-retention"), "1");
        assert!(!settings.is_set("initial-cluster-token"));
        assert_eq!(settings.list("log-outputs"), ["stderr", "x.log"]);
        assert_eq!(settings.list("host-whitelist"), ["a", "b"]);
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
    fn files_in_utf_16() {
        let bytes: Vec<u8> = "\u{feff}name: \u{e9}\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let reader = read(Path::new("c.yaml"), &bytes).unwrap();
        assert_eq!(reader.settings.text("name"), "\u{e9}");
    }

    #[test]
    fn unknown_keys_are_skipped() {
        let (_, unknown) = read_text(
            "nmae: a\nEnable-v2: true\nversion: 1\nSocket-options: {Reuse-prot: true}\n1: 2\nsocket: 1\n",
        );
        assert_eq!(unknown, ["1", "Enable-v2", "Socket-options.Reuse-prot", "nmae", "socket", "version"]);
    }

    #[test]
    fn what_follows_the_first_document_is_not_looked_at() {
        let check = |text: &str, expected: bool| {
            let reader = read(Path::new("c.yaml"), text.as_bytes()).unwrap();
            assert_eq!((reader.has_more, reader.settings.text("name")), (expected, "a".to_owned()), "{text}");
        };
        check("name: a\n", false);
        check("---\nname: a\n...\n# end\n", false);
        check("name: a\n---\nname: b\n", true);
        check("name: a\n---\n[broken\n", true);
        // A line that is less indented ends the document, too.
        check(" name: a\npre-vote: no\n", true);
    }

    #[test]
    fn errors_name_the_file_the_key_and_what_to_write() {
        check_error("- a", "expected a mapping of keys to values; write one flag a line, as in name: a");
        check_error(
            "snapshot-count: many",
            r#"key snapshot-count: expected a number that is not negative, found "many""#,
        );
        check_error("max-txn-ops: -1", "key max-txn-ops: expected a number that is not negative, found -1");
        check_error(
            "max-concurrent-streams: 4294967296",
            "key max-concurrent-streams: expected a number from 0 to 4294967295, found 4294967296",
        );
        check_error(
            "pre-vote: 'no'",
            r#"key pre-vote: expected true or false, found "no"; write it without quotes"#,
        );
        check_error(
            "grpc-keepalive-timeout: 1.5s",
            r#"key grpc-keepalive-timeout: expected a number of nanoseconds, found "1.5s"; write 1500000000"#,
        );
        check_error("name: [a]", r#"key name: expected a text, found ["a"]"#);
        check_error("name: no", "key name: expected a text, found false; put the text in quotes");
        check_error("name: 010", "key name: expected a text, found 8; put the text in quotes");
        check_error(
            "cipher-suites: A,B",
            r#"key cipher-suites: expected a list of texts, found "A,B"; write ["A", "B"]"#,
        );
        check_error(
            "listen-peer-urls: [http://127.0.0.1:1, http://127.0.0.1:2]",
            r#"key listen-peer-urls: expected a text with URLs separated by commas, found ["http://127.0.0.1:1", "http://127.0.0.1:2"]; write "http://127.0.0.1:1,http://127.0.0.1:2""#,
        );
        check_error("socket-options: 5", "key socket-options: expected a mapping of keys to values, found 5");
        check_error(
            "listen-peer-urls: foo",
            "unexpected error setting up listen-peer-urls: URL scheme must be http, https, unix, or unixs: foo",
        );
        check_error("a: b\nname: [", "yaml: line 3: did not find expected node content; correct the file");
    }

    #[test]
    fn errors_show_no_password() {
        check_error(
            "discovery-config: {client: {auth: {password: 123}}}",
            "key discovery-config.client.auth.password: expected a text, found ********; put the text in quotes",
        );
        check_error(
            "discovery-config: {client: {auth: {username: ['u:123']}}}",
            "key discovery-config.client.auth.username: expected a text, found ********",
        );
    }
}
