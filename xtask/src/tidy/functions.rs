//! How long functions are that start something. All others have clippy's limit, the one of `clippy.toml`.

use super::finding::Finding;
use super::rust;
use super::tree::File;

/// What starts things grows by a few lines with each of them; the things belong in a table or in functions of
/// their own.
const START_LINES_MAX: usize = 60;

/// How many longer ones are left. The number may only fall.
const LEFT: usize = 1;

/// The functions named `start` that are too long, when they are more than may be left.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let found: Vec<Finding> = files.iter().flat_map(in_file).collect();
    if found.len() > LEFT { found } else { Vec::new() }
}

fn in_file(file: &File) -> Vec<Finding> {
    if !file.is_rust() || !file.text.contains("fn start(") && !file.text.contains("fn start<") {
        return Vec::new();
    }
    let code = rust::split(&file.text).code;
    starts(&code)
        .filter(|(_, lines)| *lines > START_LINES_MAX)
        .map(|(number, lines)| {
            file.at(number, format!("`start` has {lines} lines; split it, {START_LINES_MAX} are the most"))
        })
        .collect()
}

/// Functions named `start`: the line, and the lines of the body that hold code.
fn starts(code: &str) -> impl Iterator<Item = (usize, usize)> {
    code.match_indices("fn start").filter_map(move |(at, word)| {
        let rest = code[at + word.len()..].strip_prefix(['(', '<'])?;
        let body = body(rest)?;
        let line = 1 + code[..at].matches('\n').count();
        Some((line, body.lines().filter(|line| !line.trim().is_empty()).count()))
    })
}

/// What the first pair of braces encloses, unless the declaration ends without one.
fn body(rest: &str) -> Option<&str> {
    let open = rest.find(['{', ';']).filter(|at| rest[*at..].starts_with('{'))?;
    let mut depth = 0;
    for (at, c) in rest.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(&rest[open + 1..at]),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected_lines: &[usize]) {
        let file = File { path: "crates/engine/src/engine.rs".to_owned(), text: text.to_owned() };
        let lines: Vec<usize> = in_file(&file).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected_lines, "{text}");
    }

    fn function(name: &str, lines: usize) -> String {
        format!("struct A;\nfn {name}() {{\n{}}}\n", "if b { c(); }\n// d\n\n".repeat(lines))
    }

    #[test]
    fn starts_are_short() {
        check(&function("start", START_LINES_MAX), &[]);
        check(&function("start", START_LINES_MAX + 1), &[2]);
        check(&function("start<T>", START_LINES_MAX + 1), &[2]);
        check(&function("started", START_LINES_MAX + 1), &[]);
        check("trait A { fn start(); }", &[]);
    }
}
