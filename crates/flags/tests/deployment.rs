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

fn check(settings: &Settings, what: &str) {
    let without: Vec<_> = settings.without_effect().map(|flag| flag.name).collect();
    assert!(without.is_empty() && settings.retiring().next().is_none(), "{what}: {without:?}");
}

#[test]
fn command_lines_are_understood() {
    for (file, n) in [("static-pod.yaml", 1), ("compose.yaml", 3)] {
        let lists = command_lines(file);
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
