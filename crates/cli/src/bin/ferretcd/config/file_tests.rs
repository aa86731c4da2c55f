//! Configuration files: what etcd makes of each, and ferretcd.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ferretcd_flags::{Command, FLAGS, Settings, load, parse_command_line};
use serde::Deserialize;

use super::{log_options, translate};

/// Fifteen hundred files and etcd 3.7.1's outcome, one a line, made by `go run ./config` in `tests/interop/go/etcd37`.
const FILES: &str = include_str!("../../../../tests/config_files.golden");

/// Files of which ferretcd makes something else. `docs/compatibility.md` has them, but for those that etcd rejects at a
/// later step of the start.
const DIFFERENT: [&str; 12] = [
    // A mark behind the beginning is skipped.
    "\n\u{feff}name: a\n",
    // An escape of JSON that YAML 1.1 lacks.
    "{\"name\": \"\\u0061\\/\"}",
    // A colon before the bracket does not belong to the key.
    "{name:}\n",
    // A comma behind a tag is part of the tag in etcd, and an error here.
    "name: !a, b\n",
    // URLs are listened on once.
    "listen-client-urls: http://127.0.0.1:1,http://127.0.0.1:1\n",
    // The gate LeaseCheckpoint is on by default, and one of the group.
    "feature-gates: LeaseCheckpointPersist=true\n",
    "feature-gates: AllBeta=false\n",
    // etcd looks at these when it listens, or later.
    "auth-token: junk\n",
    "max-learners: -1\n",
    "listen-metrics-urls: https://127.0.0.1:1,http://127.0.0.1:1\n",
    "cipher-suites: [junk]\n",
    "cipher-suites: ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384']\n",
];

#[derive(Deserialize)]
struct Case {
    yaml: String,
    /// Why etcd does not start with the file.
    error: Option<String>,
    /// Those that differ from the defaults, by their keys in the file, in the notation of the command line.
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

/// The settings of a file that differ from the defaults, if the server would start.
fn outcome(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let file = format!("--config-file={}", path.display());
    let Ok(Command::Run(settings, None)) = parse_command_line([file.into()]) else { panic!("{path:?}") };
    let settings =
        load(settings, None, &BTreeMap::new(), &mut Vec::new()).map_err(|error| error.to_string())?;
    log_options(&settings).map_err(|error| error.to_string())?;
    let config = translate(&settings, || None, &mut Vec::new()).map_err(|error| error.to_string())?;
    let mut shown = different(&settings);
    let gates = config.settings.display("feature-gates");
    if !gates.is_empty() {
        shown.insert("feature-gates".to_owned(), gates);
    }
    Ok(shown)
}

fn different(settings: &Settings) -> BTreeMap<String, String> {
    let of = |settings: &Settings| -> BTreeMap<_, _> {
        let keys = FLAGS.iter().filter_map(|flag| Some((flag.file_key?, flag.name)));
        keys.map(|(key, name)| (key.to_owned(), settings.display(name))).collect()
    };
    let defaults = of(&Settings::default());
    let mut all = of(settings);
    all.retain(|key, value| key != "feature-gates" && defaults[key] != *value);
    all
}

#[test]
fn files_mean_what_they_mean_to_etcd() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("etcd.yaml");
    let mut differences = Vec::new();
    let mut as_known = Vec::new();
    for line in FILES.lines() {
        let mut case: Case = serde_json::from_str(line).unwrap();
        fs::write(&path, &case.yaml).unwrap();
        // Follows the name and the URLs until discovery is known.
        case.settings.retain(|key, value| key != "initial-cluster" || !value.is_empty());
        let expected = case.error.map_or(Ok(case.settings), Err);
        let found = outcome(&path);
        if found == expected || (found.is_err() && expected.is_err()) {
            continue;
        }
        if DIFFERENT.contains(&&*case.yaml) {
            as_known.push(case.yaml);
        } else {
            differences.push(format!("{:?}\n  etcd: {expected:?}\n  ferretcd: {found:?}", case.yaml));
        }
    }
    assert!(differences.is_empty(), "{} files:\n{}", differences.len(), differences.join("\n"));
    as_known.sort();
    let mut known = DIFFERENT;
    known.sort_unstable();
    assert_eq!(as_known, known, "files that etcd and ferretcd take alike by now");
}

#[test]
fn a_reach_of_the_page_that_does_not_exist_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let check = |text: &str, expected: Result<&str, &str>| {
        fs::write(&path, text).unwrap();
        let outcome = outcome(&path).map(|different| different.get("ui").cloned().unwrap_or_default());
        match (outcome, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
            (outcome, _) => panic!("{text}: {outcome:?}"),
        }
    };
    check("ui: all", Ok("all"));
    check("ui: none", Ok("none"));
    check("ui: nonsense", Err("ui can't be \"nonsense\"; write loopback, all or none"));
    // A truth value in YAML.
    check("ui: off", Err("ui"));
}
