//! What Rust sources contain.

use super::finding::Finding;
use super::rust::is_name;
use super::tree::File;
use super::{layers, libraries};

/// What has no place in a crate that must do the same on every member.
const IMPURE: &[&str] = &[
    "async fn",
    "async move",
    "async {",
    ".await",
    "tokio::",
    "Instant::now",
    "SystemTime",
    "thread::spawn",
    "thread::Builder",
    "thread::sleep",
];

/// Where an error becomes a gRPC status, each with the reason it may.
const STATUS_MAKERS: &[(&str, &str)] = &[
    ("crates/grpc-server/src/status.rs", "the one mapping of errors"),
    ("crates/gateway/src/status.rs", "the one of the gateway's own, which knows no service"),
    ("crates/grpc-server/src/library_errors.rs", "rewords what tonic itself rejects"),
    ("crates/grpc-server/src/health.rs", "the health protocol's own answer, which is no error of etcd's"),
];

/// Functions of a status that make no new one.
const STATUS_READERS: &[&str] = &["clone", "from_header_map"];

/// Tables of one entry per flag, as long as etcd has flags.
const TABLES: &[&str] = &["crates/flags/src/table.rs"];

const LINES_GOOD: usize = 400;
const LINES_MAX: usize = 600;

/// Judges one file.
pub(super) fn check(file: &File) -> Vec<Finding> {
    if !file.is_rust() {
        return Vec::new();
    }
    let mut findings = attributes(file);
    findings.extend(too_long(file));
    if let Some(name) = file.source_of() {
        findings.extend(reexports(file, name));
        if layers::is_pure(name) {
            findings.extend(impurities(file, name));
        }
        if layers::is_rim(name) {
            findings.extend(statuses(file));
        }
    }
    findings
}

/// A remark on a file that is longer than files here should be, but not yet too long.
pub(super) fn long_file(file: &File) -> Option<Finding> {
    let lines = length(file).filter(|lines| (LINES_GOOD + 1..=LINES_MAX).contains(lines))?;
    Some(file.at(0, format!("{lines} lines; above {LINES_GOOD}, look for the second noun in it")))
}

fn too_long(file: &File) -> Option<Finding> {
    let lines = length(file).filter(|lines| *lines > LINES_MAX)?;
    Some(file.at(0, format!("{lines} lines; split it, {LINES_MAX} are the most")))
}

fn length(file: &File) -> Option<usize> {
    (file.is_rust() && !TABLES.contains(&file.path.as_str())).then(|| file.lines().count())
}

/// Attributes that rustfmt puts at the start of a line.
fn attributes(file: &File) -> Vec<Finding> {
    file.code()
        .filter_map(|(number, line)| {
            let attribute = line.trim_start().trim_start_matches("#!").trim_start_matches('#');
            if attribute.starts_with("[ignore") {
                return Some(file.at(number, "assert what the test finds today instead of ignoring it"));
            }
            let message = r#"use `#[expect(lint, reason = "...")]`, which ends when its cause does"#;
            attribute.starts_with("[allow(").then(|| file.at(number, message))
        })
        .collect()
}

fn impurities(file: &File, name: &str) -> Vec<Finding> {
    // Unit tests play the world outside, which has a clock.
    before_tests(file)
        .filter_map(|(number, line)| {
            let word = IMPURE.iter().find(|word| contains_word(line, word))?;
            Some(file.at(number, format!("{name} is synchronous and deterministic: take `{word}` out of it")))
        })
        .collect()
}

/// The owner of a library keeps its types to itself.
fn reexports(file: &File, name: &str) -> Vec<Finding> {
    let is_reexport = |line: &str| {
        let path = line.trim_start().strip_prefix("pub use ").map(|path| path.trim_start_matches("::"));
        let first = path.and_then(|path| path.split([':', ';', ' ']).next());
        first.is_some_and(|first| libraries::owned_by(name).any(|library| library == first))
    };
    file.code()
        .filter(|(_, line)| is_reexport(line))
        .map(|(number, _)| file.at(number, format!("wrap it in a type of {name}'s own")))
        .collect()
}

fn statuses(file: &File) -> Vec<Finding> {
    if STATUS_MAKERS.iter().any(|(path, _)| *path == file.path) {
        return Vec::new();
    }
    // Unit tests play the parts that respond with a status.
    before_tests(file)
        .filter(|(_, line)| makes_status(line))
        .map(|(number, _)| file.at(number, "let crates/grpc-server/src/status.rs make the status"))
        .collect()
}

/// The code of a file up to its unit tests.
fn before_tests(file: &File) -> impl Iterator<Item = (usize, &str)> {
    file.code().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
}

fn makes_status(line: &str) -> bool {
    words(line, "Status::").any(|at| {
        let rest = &line[at + "Status::".len()..];
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        let (function, rest) = rest.split_at(end);
        !function.is_empty()
            && !STATUS_READERS.contains(&function)
            && !rest.starts_with(char::is_alphanumeric)
    })
}

fn contains_word(line: &str, word: &str) -> bool {
    let continues = |at: usize| line[at + word.len()..].starts_with(is_name) && word.ends_with(is_name);
    words(line, word).any(|at| !continues(at))
}

/// Where `word` begins and is not the end of a longer name.
fn words(line: &str, word: &str) -> impl Iterator<Item = usize> {
    let needs_start = word.starts_with(is_name);
    line.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| !(needs_start && line[..*at].ends_with(is_name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    fn check(path: &str, text: &str, expected_lines: &[usize]) {
        let findings = super::check(&file(path, text));
        let lines: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected_lines, "{path}: {text}\n{findings:?}");
    }

    #[test]
    fn pure_sources_do_not_wait_or_ask_for_the_time() {
        let path = "crates/mvcc/src/read.rs";
        check(path, "fn read() {}\nfn asynchronous() {}", &[]);
        check(path, "// An async fn would call Instant::now().", &[]);
        check(path, "async fn read() {\n    other().await\n}", &[1, 2]);
        check(path, "let now = std::time::Instant::now();", &[1]);
        check(path, "use std::time::SystemTime;", &[1]);
        check(path, "std::thread::panicking();\nstd::thread::spawn(run);", &[2]);
        check(path, "self.awaits_progress = true;", &[]);
        check("crates/engine/src/tasks.rs", "async fn run() {}", &[]);
        check("crates/mvcc/tests/model.rs", "let now = Instant::now();", &[]);
        check(path, "#[cfg(test)]\nmod tests { use std::time::Instant; fn f() { Instant::now(); } }", &[]);
        check("crates/api-proto/src/generated/a.rs", "async fn put() {}", &[]);
    }

    #[test]
    fn statuses_are_made_in_one_place() {
        let path = "crates/grpc-server/src/kv.rs";
        check(path, "Err(Status::not_found(\"key\"))", &[1]);
        check(path, "tonic::Status::new(code, text)", &[1]);
        check(path, ".map_err(Status::internal)", &[1]);
        check(path, "Status::from_header_map(headers)", &[]);
        check(path, "Status::clone(&it); StatusCode::from_u16(1); ServingStatus::from_i32(1)", &[]);
        check(path, "Status::Serving", &[]);
        check(path, "fn f() {}\n#[cfg(test)]\nmod tests { Status::internal(\"\") }", &[]);
        check("crates/grpc-server/src/status.rs", "Status::new(code, text)", &[]);
        check("crates/raft-node/src/handle.rs", "Status::new()", &[]);
    }

    #[test]
    fn tests_run_and_lints_hold() {
        check("tests/tests/kv.rs", "#[test]\n    #[ignore]\nfn put() {}", &[2]);
        check("tests/tests/kv.rs", "#[ignore = \"slow\"]", &[1]);
        check("crates/cli/src/lib.rs", "#![allow(missing_docs)]\n#[allow(dead_code)]", &[1, 2]);
        check("crates/cli/src/lib.rs", "#[expect(dead_code, reason = \"\")]", &[]);
    }

    #[test]
    fn owned_libraries_are_not_passed_on() {
        check("crates/backend/src/lib.rs", "pub use redb::Database;", &[1]);
        check("crates/backend/src/lib.rs", "pub use error::Error;\nuse redb::Database;", &[]);
        check("crates/raft-node/src/lib.rs", "pub use raft::{RawNode, Ready};", &[1]);
    }

    #[test]
    fn files_stay_short() {
        let check = |path: &str, lines: usize, remarks: usize, violations: usize| {
            let file = file(path, &"\n".repeat(lines));
            assert_eq!(long_file(&file).iter().count(), remarks, "{path}: {lines}");
            assert_eq!(super::check(&file).len(), violations, "{path}: {lines}");
        };
        check("crates/cli/src/lib.rs", LINES_GOOD, 0, 0);
        check("crates/cli/src/lib.rs", LINES_GOOD + 1, 1, 0);
        check("crates/cli/src/lib.rs", LINES_MAX, 1, 0);
        check("crates/cli/src/lib.rs", LINES_MAX + 1, 0, 1);
        check("crates/flags/src/table.rs", LINES_MAX + 1, 0, 0);
        check("crates/api-proto/src/generated/a.rs", LINES_MAX + 1, 0, 0);
        check("tests/scenarios/kv/range.txt", LINES_MAX + 1, 0, 0);
    }
}
