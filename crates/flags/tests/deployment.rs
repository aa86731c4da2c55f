//! The files in `deploy/` name flags and keys that there are, and that have an effect.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ferretcd_flags::{Command, Settings, SourceDiagnostic, load, parse_command_line};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file)
}

/// The command lines in a file: the lists whose items begin with dashes.
fn command_lines(file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(deploy(file)).expect("it is there");
    let mut lists = vec![Vec::new()];
    for line in text.lines() {
        match line.trim().strip_prefix("- --") {
            Some(flag) => lists.last_mut().expect("there is one").push(format!("--{flag}")),
            None => lists.push(Vec::new()),
        }
    }
    lists.retain(|list| !list.is_empty());
    lists
}

/// The rest of the only line in a file that begins so.
fn line(file: &str, start: &str) -> String {
    let text = std::fs::read_to_string(deploy(file)).expect("it is there");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(start));
    let line = lines.next().unwrap_or_else(|| panic!("{file} has a line {start}"));
    assert_eq!(lines.next(), None, "{file}: {start}");
    line.to_owned()
}

/// The command line of the image, which has the form of JSON.
fn of_image() -> Vec<String> {
    let list = line("Dockerfile", "CMD [");
    list.trim_end_matches(']').split(", ").map(|flag| flag.trim_matches('"').to_owned()).collect()
}

/// The command line of the service.
fn of_service() -> Vec<String> {
    let command = line("ferretcd.service", "ExecStart=/usr/local/bin/ferretcd ");
    command.split(' ').map(str::to_owned).collect()
}

fn check(settings: &Settings, what: &str) {
    let without: Vec<_> = settings.without_effect().map(|flag| flag.name).collect();
    assert!(without.is_empty() && settings.retiring().next().is_none(), "{what}: {without:?}");
}

#[test]
fn command_lines_are_understood() {
    for (file, lists, n) in [
        ("static-pod.yaml", command_lines("static-pod.yaml"), 1),
        ("compose.yaml", command_lines("compose.yaml"), 3),
        ("Dockerfile", vec![of_image()], 1),
        ("ferretcd.service", vec![of_service()], 1),
    ] {
        assert_eq!(lists.len(), n, "{file}");
        for list in lists {
            match parse_command_line(list.iter().map(Into::into)) {
                Ok(Command::Run(settings, None)) => check(&settings, file),
                other => panic!("{file}: {other:?}"),
            }
        }
    }
}

#[test]
fn the_configuration_file_has_no_unknown_key() {
    let file = deploy("ferretcd.yaml");
    let flags = [format!("--config-file={}", file.display())];
    let Ok(Command::Run(settings, None)) = parse_command_line(flags.iter().map(Into::into)) else {
        panic!("a flag of the table");
    };
    let mut diagnostics = Vec::new();
    let settings = load(settings, None, &BTreeMap::new(), &mut diagnostics).expect("it is well-formed");
    assert!(matches!(&diagnostics[..], [SourceDiagnostic::FileUsed { .. }]), "{diagnostics:?}");
    check(&settings, "ferretcd.yaml");
}
