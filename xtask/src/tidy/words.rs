//! Pronouns that hide which part of the system acts: a comment, a name or a document names the part instead.
//!
//! Looked at are comments, names that are declared, and documents. Literals are what users see and stay as they
//! are. A word in backticks is mentioned, not used.

use super::finding::Finding;
use super::rust::{self, is_name};
use super::tree::File;

/// What is avoided, and what stands in its place.
const WORDS: &[(&[&str], &str)] = &[
    (
        &["who", "whoever", "whom"],
        "name the part: the client, the caller, the peer, the member, the watcher that ...",
    ),
    (&["nobody"], "say which: no client, no member, no watcher; or say what does not happen"),
    (&["somebody", "someone"], "say which: a client, another member, one watcher"),
    (&["everybody", "everyone"], "say which: all members, every client, each watcher"),
    (&["anybody", "anyone"], "say which: any client, any member, any watcher"),
    (&["he", "him", "his", "she"], "a thread, a member, a client is `it`"),
];

/// Texts of others, quoted word by word: where, and a part of the line.
const QUOTED: &[(&str, &str)] = &[];

/// Keywords that a declared name follows.
const DECLARATIONS: &[&str] = &["fn", "mod", "struct", "enum", "trait", "type", "const", "static"];

/// Every such word of a file.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let (prose, names) = parts(file);
    let quoted = |line: &str| QUOTED.iter().any(|(path, part)| file.path == *path && line.contains(part));
    let of_prose = prose
        .iter()
        .filter(|(_, line)| !quoted(line))
        .flat_map(|(number, line)| used_words(line).into_iter().map(|word| (*number, word.to_lowercase())));
    let of_names =
        names.iter().flat_map(|(number, name)| words_of(name).into_iter().map(|word| (*number, word)));
    of_prose
        .chain(of_names)
        .filter_map(|(number, word)| {
            let (_, instead) = WORDS.iter().find(|(words, _)| words.contains(&word.as_str()))?;
            Some(file.at(number, format!("`{word}`: {instead}")))
        })
        .collect()
}

/// Numbered lines.
type Lines = Vec<(usize, String)>;

/// The prose of a file, and the names that it declares.
fn parts(file: &File) -> (Lines, Lines) {
    let lines = |keep: fn(&str) -> bool| {
        file.lines().filter(|(_, line)| keep(line)).map(|(number, line)| (number, line.to_owned())).collect()
    };
    let extension = file.path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "rs" if file.is_rust() => {
            let source = rust::split(&file.text);
            (source.comments, declared(&source.code))
        }
        "go" => (rust::split(&file.text).comments, Lines::new()),
        "md" | "toml" | "py" => (lines(|_| true), Lines::new()),
        "txt" if file.path.starts_with("tests/scenarios/") => {
            (lines(|line| line.starts_with('#') || line.starts_with("case ")), Lines::new())
        }
        _ if file.path.starts_with(".ci/") => (lines(|line| line.starts_with('#')), Lines::new()),
        _ => (Lines::new(), Lines::new()),
    }
}

fn declared(code: &str) -> Lines {
    let mut names = Lines::new();
    for (number, line) in (1..).zip(code.lines()) {
        names.extend(listed(line).map(|name| (number, name.to_owned())));
        let mut words = line.split(|c| !is_name(c)).filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            if DECLARATIONS.contains(&word) {
                names.extend(words.next().map(|name| (number, name.to_owned())));
            }
        }
    }
    names
}

/// The name of a test in a macro's list: `name => what it runs`.
fn listed(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(" => ")?;
    let name = name.trim_start();
    name.chars().all(|c| is_name(c) && !c.is_uppercase()).then_some(name)
}

/// The words of a line of prose, without those that stand alone in backticks.
fn used_words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line;
    let mut before = None;
    while let Some(start) = rest.find(char::is_alphabetic) {
        before = rest[..start].chars().next_back().or(before);
        let word = &rest[start..];
        let end = word.find(|c: char| !c.is_alphabetic()).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        if !(before == Some('`') && after.starts_with('`')) {
            words.push(word);
        }
        before = None;
        rest = after;
    }
    words
}

/// `waits_for_it` and `WaitsForIt` are three words.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        words.last_mut().expect("never empty").extend(c.to_lowercase().filter(|c| *c != '_'));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[(usize, &str)]) {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        let found = super::check(&file);
        let found: Vec<(usize, &str)> =
            found.iter().map(|finding| (finding.line, finding.message.split('`').nth(1).unwrap())).collect();
        assert_eq!(found, expected, "{path}: {text}");
    }

    #[test]
    fn comments_and_names_are_read_and_literals_are_not() {
        let path = "crates/mvcc/src/read.rs";
        check(path, "// Nobody waits.\nfn f() {}", &[(1, "nobody")]);
        check(path, "/// Tells who asks.\nfn who_asks() {}", &[(1, "who"), (2, "who")]);
        check(path, "enum Asker {}\nstruct ForEverybody;", &[(2, "everybody")]);
        check(path, "every_program! {\n    nobody_is_joined => alone(),\n}", &[(2, "nobody")]);
        check(path, "f(\"nobody is told\"); // whole, the, whose", &[]);
        check(path, "// Never `nobody`, but `told who`; he's.", &[(1, "who"), (1, "he")]);
        check("crates/api-proto/src/generated/a.rs", "// Nobody.", &[]);
    }

    #[test]
    fn documents_scenarios_and_the_go_tests_are_read() {
        check("README.md", "For whoever\nreads", &[(1, "whoever")]);
        check("crates/watch/Cargo.toml", "description = \"who is told\"", &[(1, "who")]);
        check("tests/interop/python/a.py", "# Nobody reads.", &[(1, "nobody")]);
        check("tests/interop/go/a.go", "// Nobody writes.\nf(\"nobody\")", &[(1, "nobody")]);
        check("tests/scenarios/a.txt", "case who asks\nput who 1\n# him", &[(1, "who"), (3, "him")]);
        check("crates/tls/tests/a.golden", "nobody", &[]);
    }
}
