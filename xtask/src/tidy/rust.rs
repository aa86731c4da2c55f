//! A source text taken apart: code on one side, comments on the other.

/// The two sides of one file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Source {
    /// The text with blanks in place of comments and of literals' contents. Line numbers are kept.
    pub(super) code: String,
    /// Lines of comments with their numbers, markers included.
    pub(super) comments: Vec<(usize, String)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// Splits Rust, and Go as far as it looks alike.
pub(super) fn split(text: &str) -> Source {
    let mut source = Source::default();
    let mut line = 1;
    let mut rest = text;
    while !rest.is_empty() {
        let (kind, length) = next(rest, source.code.ends_with(is_name));
        let (part, after) = rest.split_at(length);
        match kind {
            Kind::Code => source.code.push_str(part),
            Kind::Comment | Kind::Literal => source.code.extend(part.chars().map(blank)),
        }
        if kind == Kind::Comment {
            source.comments.extend((line..).zip(part.lines().map(str::to_owned)));
        }
        line += part.matches('\n').count();
        rest = after;
    }
    source
}

/// Whether `c` can stand in an identifier.
pub(super) fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn blank(c: char) -> char {
    if c == '\n' { c } else { ' ' }
}

/// What the text begins with, and how long that is in bytes.
fn next(rest: &str, within_name: bool) -> (Kind, usize) {
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Comment, block_comment(rest));
    }
    let literal = match rest.as_bytes()[0] {
        b'"' => Some(quoted(rest, '"')),
        b'`' => Some(rest[1..].find('`').map_or(rest.len(), |at| at + 2)),
        b'\'' => character(rest),
        b'r' if !within_name => raw_string(rest, 1),
        b'b' | b'c' if !within_name && rest[1..].starts_with('r') => raw_string(rest, 2),
        _ => None,
    };
    match literal {
        Some(length) => (Kind::Literal, length),
        None => (Kind::Code, rest.chars().next().map_or(0, char::len_utf8)),
    }
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    for (at, _) in rest.char_indices() {
        if rest[at..].starts_with("/*") {
            depth += 1;
        } else if rest[..at].ends_with("*/") {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// A character, unless the quote begins a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut following = rest[1..].chars();
    let first = following.next()?;
    (first == '\\' || following.next() == Some('\'')).then(|| quoted(rest, '\''))
}

/// `r"..."` or `r#"..."#` behind a prefix of this length, which includes the `r`.
fn raw_string(rest: &str, prefix: usize) -> Option<usize> {
    let hashes = rest[prefix..].find(|c| c != '#')?;
    let content = rest[prefix + hashes..].strip_prefix('"')?;
    let start = rest.len() - content.len();
    let end = format!("\"{}", "#".repeat(hashes));
    Some(content.find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str, comments: &[(usize, &str)]) {
        let source = split(text);
        assert_eq!(source.code.split_whitespace().collect::<Vec<_>>().join(" "), code, "{text}");
        let found: Vec<_> = source.comments.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(found, comments, "{text}");
        assert_eq!(source.code.lines().count(), text.lines().count(), "{text}");
    }

    #[test]
    fn comments_are_apart_from_code() {
        check("let a = 1; // one\n/// doc\nb", "let a = 1; b", &[(1, "// one"), (2, "/// doc")]);
        check("a /* b\nc /* d */ e */ f", "a f", &[(1, "/* b"), (2, "c /* d */ e */")]);
        check("/* a */", "", &[(1, "/* a */")]);
    }

    #[test]
    fn literals_hold_neither_code_nor_comments() {
        check(r#"a("// b \" c") // d"#, "a( )", &[(1, "// d")]);
        check("a(r#\"b \" // c\"#, br\"d\\\", 'e')", "a( , , )", &[]);
        check("a('\\'', '\"', '/') // b", "a( , , )", &[(1, "// b")]);
        check("a := `\n// b\n`", "a :=", &[]);
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        check("fn a<'b>(c: &'b str, r#type: u8) {}", "fn a<'b>(c: &'b str, r#type: u8) {}", &[]);
    }
}
