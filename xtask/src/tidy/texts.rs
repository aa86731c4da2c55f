//! What no file of the repository contains: traces of the machine it was written on, and notes to oneself.
//!
//! The words looked for are put together from parts, so that this file does not find itself.

use super::finding::Finding;
use super::tree::File;

/// First folders of paths that exist on one machine only.
const FOLDERS: &[&str] = &["work", "root", "home", "tmp"];

const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const GAPS: &[&str] = &[concat!("todo", "!("), concat!("unimplemented", "!(")];

/// Settings that send a package manager elsewhere than to its public registry.
const DETOURS: &[&str] = &[
    concat!("replace", "-with"),
    concat!("[regis", "tries"),
    concat!("GO", "PROXY="),
    concat!("index", "-url"),
    concat!("--reg", "istry"),
];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Judges one file, generated ones included. Files with NUL bytes are searched for paths only.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let is_text = !file.text.contains('\0');
    file.lines()
        .filter_map(|(number, line)| {
            let message =
                path(line).or_else(|| if is_text { note(line).or(detour(file, line)) } else { None })?;
            Some(file.at(number, message))
        })
        .collect()
}

fn path(line: &str) -> Option<String> {
    FOLDERS.iter().map(|folder| format!("/{folder}/")).find(|start| begins_path(line, start)).map(|start| {
        format!("paths below {start} are of one machine: use a relative one, or one that every system has")
    })
}

/// Whether `start` occurs in `line` other than as the middle of a longer path.
fn begins_path(line: &str, start: &str) -> bool {
    let continues =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '*' | '}' | ')' | '>');
    line.match_indices(start).any(|(at, _)| !line[..at].ends_with(continues))
}

fn note(line: &str) -> Option<String> {
    let word = NOTES
        .iter()
        .find(|word| is_alone(line, word))
        .or_else(|| GAPS.iter().find(|gap| line.contains(*gap)))?;
    Some(format!("do what {word} says, or state the limit in words"))
}

fn is_alone(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_name) && !line[at + word.len()..].starts_with(is_name))
}

/// Documents and Rust sources may speak of registries; what package managers read may not choose one.
fn detour(file: &File, line: &str) -> Option<String> {
    if file.path.ends_with(".md") || file.path.ends_with(".rs") {
        return None;
    }
    let source = line.strip_prefix("source = \"").filter(|_| file.path.ends_with("Cargo.lock"));
    let elsewhere = source.is_some_and(|source| !source.starts_with(CRATES_IO));
    let is_detour = elsewhere || DETOURS.iter().any(|word| line.contains(word));
    is_detour.then(|| "packages come from the public registries: keep this in your own home".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected_lines: &[usize]) {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        let lines: Vec<usize> = super::check(&file).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected_lines, "{path}: {text}");
    }

    #[test]
    fn paths_of_a_machine() {
        for folder in FOLDERS {
            check("a.md", &format!("see\n/{folder}/a"), &[2]);
            check("a.rs", &format!("let path = \"/{folder}/a\";"), &[1]);
            check("a.golden", &format!("file:///{folder}/a"), &[1]);
            check("a.bin", &format!("\0/{folder}/a"), &[1]);
            check("a.md", &format!("target/{folder}/a, ../{folder}/a, https://a.example/{folder}/a"), &[]);
            check("a.md", &format!("${{DIR}}/{folder}/a, <dir>/{folder}/a, /{folder}"), &[]);
        }
    }

    #[test]
    fn notes_to_oneself() {
        for word in NOTES {
            check("a.md", &format!("{word}: say more"), &[1]);
            check("a.md", &format!("a{word} {word}S"), &[]);
            check("a.bin", &format!("\0{word}"), &[]);
        }
        for gap in GAPS {
            check("a.rs", &format!("    {gap})"), &[1]);
        }
    }

    #[test]
    fn registries_other_than_the_public_ones() {
        let lock = |source: &str| format!("[[package]]\nsource = \"{source}\"");
        check("Cargo.lock", &lock(CRATES_IO), &[]);
        check("Cargo.lock", &lock("registry+https://crates.example/index"), &[2]);
        check("Cargo.lock", &lock("git+https://git.example/a"), &[2]);
        for word in DETOURS {
            check(".cargo/config.toml", word, &[1]);
            check("README.md", word, &[]);
        }
    }
}
