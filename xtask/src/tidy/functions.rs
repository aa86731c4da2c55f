//! How long functions are. Tests are apart, and so is generated code, which is why this is no lint.

use super::finding::Finding;
use super::rust::{self, is_name};
use super::tree::File;

/// What starts things grows by a few lines with each of them; the things belong in a table or in functions of
/// their own.
const START_LINES_MAX: usize = 60;
const LINES_MAX: usize = 80;

/// A function, and how many lines of its body hold code.
struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
}

/// The functions of a file that are too long.
pub(super) fn check(file: &File) -> Vec<Finding> {
    if !file.is_rust() || file.is_test() {
        return Vec::new();
    }
    let code = rust::split(&file.text).code;
    let code = code.find("\n#[cfg(test)]\nmod ").map_or(code.as_str(), |tests| &code[..tests]);
    functions(code)
        .filter_map(|function| {
            let max = if function.name == "start" { START_LINES_MAX } else { LINES_MAX };
            let Function { name, line, lines } = function;
            (lines > max)
                .then(|| file.at(line, format!("`{name}` has {lines} lines; split it, {max} are the most")))
        })
        .collect()
}

fn functions(code: &str) -> impl Iterator<Item = Function<'_>> {
    code.match_indices("fn ").filter(|(at, _)| !code[..*at].ends_with(is_name)).filter_map(|(at, keyword)| {
        let rest = &code[at + keyword.len()..];
        let name = &rest[..rest.find(|c| !is_name(c))?];
        let lines = body(rest)?.lines().filter(|line| !line.trim().is_empty()).count();
        let line = 1 + code[..at].matches('\n').count();
        (!name.is_empty()).then_some(Function { name, line, lines })
    })
}

/// What the first pair of braces encloses, unless the declaration ends without one.
fn body(rest: &str) -> Option<&str> {
    let mut brackets = 0;
    let open = rest.find(|c| {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            _ => {}
        }
        brackets == 0 && matches!(c, '{' | ';')
    });
    let open = open.filter(|at| rest[*at..].starts_with('{'))?;
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

    fn check(path: &str, text: &str, expected_lines: &[usize]) {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        let lines: Vec<usize> = super::check(&file).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected_lines, "{path}: {text}");
    }

    fn function(name: &str, lines: usize) -> String {
        format!("struct A;\nfn {name}() {{\n{}}}\n", "if b { c(); }\n// d\n\n".repeat(lines))
    }

    #[test]
    fn functions_are_short_and_starts_shorter() {
        let path = "crates/engine/src/engine.rs";
        check(path, &function("start", START_LINES_MAX), &[]);
        check(path, &function("start", START_LINES_MAX + 1), &[2]);
        check(path, &function("start<T>", START_LINES_MAX + 1), &[2]);
        check(path, &function("started", LINES_MAX), &[]);
        check(path, &function("started", LINES_MAX + 1), &[2]);
        check(path, "trait A { fn start(); }", &[]);
        check(path, &function("start", START_LINES_MAX + 1).replace("()", "(a: [u8; 2])"), &[2]);
    }

    #[test]
    fn tests_may_be_longer() {
        let long = function("start", LINES_MAX + 1);
        check("crates/engine/src/engine.rs", &format!("\n#[cfg(test)]\nmod tests {{\n{long}}}"), &[]);
        check("crates/engine/tests/member.rs", &long, &[]);
        check("crates/engine/src/engine/tests.rs", &long, &[]);
        check("tests/src/lib.rs", &long, &[]);
        check("crates/api-proto/src/generated/a.rs", &long, &[]);
    }
}
