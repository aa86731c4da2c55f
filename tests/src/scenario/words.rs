//! The words of requests.
//!
//! | form | meaning |
//! |---|---|
//! | `abc` | these bytes |
//! | `"a b\x00"` | quoted bytes; `\x..`, `\n`, `\"`, `\\` |
//! | `"x"*1000` | a thousand of them |
//! | `a..c` | the interval from `a` to before `c` |
//! | `a..` | everything from `a` on (range end is one zero byte) |
//! | `a*` | everything with this prefix |
//! | `*` | the whole store |
//! | `+3` | the third revision after the start of the case |
//! | `7`, `-1` | that number |

use bytes::Bytes;

/// Splits a line at blanks outside quotes.
pub(super) fn words(line: &str) -> Vec<&str> {
    let (mut words, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ' ' if !quoted => {
                words.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(&line[start..]);
    words.retain(|word| !word.is_empty());
    words
}

/// Bytes from their written form.
pub(super) fn bytes(word: &str) -> Bytes {
    let Some(rest) = word.strip_prefix('"') else { return Bytes::copy_from_slice(word.as_bytes()) };
    let (quoted, rest) = split_quoted(rest);
    match rest.strip_prefix('*') {
        Some(times) => quoted.repeat(times.parse().expect("a count follows *")).into(),
        None => quoted.into(),
    }
}

/// The bytes up to the closing quote, and what follows it.
fn split_quoted(text: &str) -> (Vec<u8>, &str) {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let at = rest.find(['\\', '"']).expect("a quote is closed");
        out.extend_from_slice(&rest.as_bytes()[..at]);
        if rest.as_bytes()[at] == b'"' {
            return (out, &rest[at + 1..]);
        }
        let escape = &rest[at + 1..];
        let (byte, length) = match escape.as_bytes() {
            [b'x', ..] => (u8::from_str_radix(&escape[1..3], 16).expect("two hex digits follow \\x"), 3),
            [b'n', ..] => (b'\n', 1),
            [other, ..] => (*other, 1),
            [] => panic!("something follows a backslash"),
        };
        out.push(byte);
        rest = &escape[length..];
    }
}

/// Key and range end from their written form.
pub(super) fn range(word: &str) -> (Bytes, Bytes) {
    let zero = || Bytes::from_static(&[0]);
    if word == "*" {
        return (zero(), zero());
    }
    if let Some((key, end)) = split_outside_quotes(word, "..") {
        let end = if end.is_empty() { zero() } else { bytes(end) };
        return (bytes(key), end);
    }
    match word.strip_suffix('*') {
        Some(prefix) => {
            let key = bytes(prefix);
            let end = prefix_end(&key);
            (key, end)
        }
        None => (bytes(word), Bytes::new()),
    }
}

/// The first key behind all keys with this prefix, in the form of a range end.
fn prefix_end(prefix: &[u8]) -> Bytes {
    match prefix.iter().rposition(|&byte| byte < 0xff) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end.into()
        }
        None => Bytes::from_static(&[0]),
    }
}

fn split_outside_quotes<'a>(word: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    word.match_indices(separator)
        .find(|(at, _)| word[..*at].matches('"').count().is_multiple_of(2))
        .map(|(at, _)| (&word[..at], &word[at + separator.len()..]))
}

/// Name and value of an option; a bare name has no value.
pub(super) fn option(word: &str) -> (&str, &str) {
    word.split_once('=').unwrap_or((word, ""))
}

/// A plain integer.
pub(super) fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("{word} is not a number that fits"))
}

/// The revision at which a case starts, by which its revisions are read and written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base(pub(super) i64);

impl Base {
    /// A revision from its written form.
    pub(super) fn parse(self, word: &str) -> i64 {
        match word.strip_prefix('+') {
            Some(offset) => self.0 + number::<i64>(offset),
            None => number(word),
        }
    }

    /// The written form of a revision in a response: an offset if it lies in the case.
    pub(super) fn show(self, revision: i64) -> String {
        match revision {
            ..=0 => revision.to_string(),
            _ if revision < self.0 => format!("base-{}", self.0 - revision),
            _ => format!("+{}", revision - self.0),
        }
    }
}

/// The written form of bytes in a response: bare where that is unambiguous, their number where they are many.
pub(super) fn show_bytes(bytes: &[u8]) -> String {
    const LONG: usize = 80;
    let bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'.');
    if bytes.len() > LONG {
        return format!("<{} bytes>", bytes.len());
    }
    if !bytes.is_empty() && bytes.iter().all(bare) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut out = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_range(word: &str, key: &[u8], end: &[u8]) {
        assert_eq!(range(word), (Bytes::copy_from_slice(key), Bytes::copy_from_slice(end)), "{word}");
    }

    #[test]
    fn ranges_are_read() {
        check_range("a", b"a", b"");
        check_range("\"\"", b"", b"");
        check_range("a..c", b"a", b"c");
        check_range("a..", b"a", b"\0");
        check_range("*", b"\0", b"\0");
        check_range("a/*", b"a/", b"a0");
        check_range("\"a\\xff\"*", b"a\xff", b"b");
        check_range("\"\\xff\\xff\"*", b"\xff\xff", b"\0");
        check_range("\"a..b\"..\"c\"", b"a..b", b"c");
        check_range("\"x\"*3", b"xxx", b"");
    }

    #[test]
    fn lines_are_split_outside_quotes() {
        assert_eq!(words("put  \"a b\\\" c\" 1"), ["put", "\"a b\\\" c\"", "1"]);
    }

    #[test]
    fn bytes_are_shown_as_they_are_read() {
        for text in [&b"abc"[..], b"", b"a b", b"\x00\xff\"\\", b"/a/b-c_d.e"] {
            assert_eq!(bytes(&show_bytes(text)), text);
        }
    }

    #[test]
    fn revisions_are_relative_to_the_base() {
        let base = Base(10);
        assert_eq!((base.parse("+2"), base.parse("3"), base.parse("-1")), (12, 3, -1));
        assert_eq!((base.show(12), base.show(9), base.show(-1)), ("+2".into(), "base-1".into(), "-1".into()));
    }
}
