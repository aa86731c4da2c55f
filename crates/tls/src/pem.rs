//! Sections of PEM files, found as Go finds them: text around them, headers, blanks at the ends of lines and line ends of
//! other systems do not matter, and damaged sections are passed over.

use data_encoding::{Encoding, Specification};
use std::sync::LazyLock;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// Base64 with blanks and line ends in it.
static BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut base64 = Specification::new();
    base64.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    base64.padding = Some('=');
    base64.ignore.push_str(" \t\r\n");
    base64.check_trailing_bits = false;
    base64.encoding().expect("it is well-formed")
});

/// A section.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// What is in it.
    pub(crate) label: String,
    pub(crate) bytes: Vec<u8>,
}

/// The sections of a file that are whole.
pub(crate) fn sections(file: &[u8]) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut open: Option<Open> = None;
    for line in file.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        if let Some(rest) = line.strip_prefix(BEGIN) {
            // A section that does not end before the next one begins is none.
            open = rest.strip_suffix(DASHES).map(Open::new);
        } else if let Some(rest) = line.strip_prefix(END) {
            sections.extend(open.take().and_then(|open| open.close(rest)));
        } else if let Some(open) = &mut open {
            open.add(line);
        }
    }
    sections
}

/// A section whose end was not met yet.
struct Open {
    label: Vec<u8>,
    text: Vec<u8>,
}

impl Open {
    fn new(label: &[u8]) -> Self {
        Self { label: label.into(), text: Vec::new() }
    }

    fn add(&mut self, line: &[u8]) {
        let is_header = self.text.is_empty() && line.contains(&b':');
        if !is_header {
            self.text.extend(line);
            // What follows is no header, even if this line is empty.
            self.text.push(b'\n');
        }
    }

    fn close(self, end: &[u8]) -> Option<Section> {
        let bytes = BASE64.decode(&self.text).ok()?;
        let is_same = end.strip_suffix(DASHES) == Some(&self.label);
        is_same.then(|| Section { label: String::from_utf8_lossy(&self.label).into_owned(), bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, expected: &[(&str, &str)]) {
        let found = sections(file.as_bytes());
        let found: Vec<_> = found.iter().map(|it| (&*it.label, String::from_utf8_lossy(&it.bytes))).collect();
        let found: Vec<_> = found.iter().map(|(label, bytes)| (*label, &**bytes)).collect();
        assert_eq!(found, expected, "{file:?}");
    }

    #[test]
    fn what_is_a_section() {
        let a = "-----BEGIN A-----\nYWFh\n-----END A-----\n";
        check(a, &[("A", "aaa")]);
        check(a.trim_end(), &[("A", "aaa")]);
        check(&a.replace('\n', "\r\n"), &[("A", "aaa")]);
        check(&a.replace('\n', " \t\n"), &[("A", "aaa")]);
        check(&format!("text\n{a}more\n\n{a}end"), &[("A", "aaa"), ("A", "aaa")]);
        check("-----BEGIN A-----\nKey: value\nOther: value\n\nYW\nFh\n-----END A-----\n", &[("A", "aaa")]);
        check("-----BEGIN A-----\nY W F h\n-----END A-----\n", &[("A", "aaa")]);
        check("-----BEGIN A-----\n-----END A-----\n", &[("A", "")]);
        check("-----BEGIN EC KEY-----\nYWFh\n-----END EC KEY-----\n", &[("EC KEY", "aaa")]);
        check("-----BEGIN -----\nYWFh\n-----END -----\n", &[("", "aaa")]);
    }

    #[test]
    fn what_is_none() {
        let a = "-----BEGIN A-----\nYWFh\n-----END A-----\n";
        // A byte order mark is before the dashes.
        check(&format!("\u{feff}{a}"), &[]);
        check(&format!(" {a}"), &[]);
        check(&a.replace("END A", "END B"), &[]);
        check(&a.replace("YWFh", "YWF"), &[]);
        check(&a.replace("YWFh", "YW%Fh"), &[]);
        check(&a.replace("END A-----", "END A----- b"), &[]);
        check(&a.replace("BEGIN A-----", "BEGIN A----"), &[]);
        check("-----BEGIN A-----\nYWFh\n", &[]);
        check("", &[]);
        // What is damaged does not hide what follows.
        check(&format!("-----BEGIN A-----\nYWFh\n{a}"), &[("A", "aaa")]);
        check(&format!("-----BEGIN A-----\n%\n-----END A-----\n{a}"), &[("A", "aaa")]);
    }
}
