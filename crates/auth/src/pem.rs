//! Sections of PEM files that may have keys in them.
//!
//! As in Go, text around sections, headers, blanks at the ends of lines and line ends of other systems do not matter,
//! and damaged sections are passed over.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use zeroize::Zeroizing;

/// Base64 with blanks and line ends in it.
static BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut base64 = Specification::new();
    base64.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    base64.padding = Some('=');
    base64.ignore.push_str(" \t\r\n");
    base64.check_trailing_bits = false;
    base64.encoding().expect("it is well-formed")
});

/// A section that is whole.
pub(crate) struct Section {
    /// Whether a password is needed.
    pub(crate) is_encrypted: bool,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

/// The whole sections of a file, in their order.
pub(crate) fn sections(file: &[u8]) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut open: Option<(&[u8], usize)> = None;
    let mut start = 0;
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.len();
        if let Some(label) = label(line, b"-----BEGIN ") {
            // A section that does not end before the next one begins is none.
            open = Some((label, end));
        } else if let Some(label) = label(line, b"-----END ")
            && let Some((begun, body)) = open.take()
            && begun == label
        {
            sections.extend(Section::read(label, &file[body..start]));
        }
        start = end;
    }
    sections
}

/// What the line that begins or ends a section says.
fn label<'a>(line: &'a [u8], marker: &[u8]) -> Option<&'a [u8]> {
    line.trim_ascii_end().strip_prefix(marker)?.strip_suffix(b"-----")
}

impl Section {
    fn read(label: &[u8], mut body: &[u8]) -> Option<Self> {
        let mut is_encrypted = label.starts_with(b"ENCRYPTED ");
        // Lines of the form `name: value` may come first.
        while let Some(end) = body.iter().position(|byte| *byte == b'\n')
            && body[..end].contains(&b':')
        {
            is_encrypted |= body[..end].trim_ascii_end().ends_with(b"ENCRYPTED");
            body = &body[end + 1..];
        }
        let bytes = Zeroizing::new(BASE64.decode(body).ok()?);
        Some(Self { is_encrypted, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, expected: &[(&str, bool)]) {
        let found = sections(file.as_bytes());
        let found: Vec<_> = found
            .iter()
            .map(|section| (str::from_utf8(&section.bytes).expect("text"), section.is_encrypted))
            .collect();
        assert_eq!(found, expected, "{file:?}");
    }

    #[test]
    fn what_is_a_section() {
        let a = "-----BEGIN A-----\nYWFh\n-----END A-----\n";
        check(a, &[("aaa", false)]);
        check(a.trim_end(), &[("aaa", false)]);
        check(&a.replace('\n', "\r\n"), &[("aaa", false)]);
        check(&a.replace('\n', " \t\n"), &[("aaa", false)]);
        check(&a.replace("YWFh", "YW\nFh"), &[("aaa", false)]);
        check(&format!("text\n{a}more\n\n{a}end"), &[("aaa", false), ("aaa", false)]);
        check(&a.replace("YWFh", "Key: value\nOther: value\n\nYWFh"), &[("aaa", false)]);
        check(&a.replace("YWFh", ""), &[("", false)]);
    }

    #[test]
    fn what_is_encrypted() {
        let a = "-----BEGIN A-----\nYWFh\n-----END A-----\n";
        check(&a.replace('A', "ENCRYPTED A"), &[("aaa", true)]);
        let headers = "Proc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-256-CBC,00\r\n\r\nYWFh";
        check(&a.replace("YWFh", headers), &[("aaa", true)]);
    }

    #[test]
    fn what_is_none() {
        let a = "-----BEGIN A-----\nYWFh\n-----END A-----\n";
        for file in ["", "text", "-----BEGIN A-----\nYWFh\n", "-----END A-----\n", "-----BEGIN A-----"] {
            check(file, &[]);
        }
        check(&format!(" {a}"), &[]);
        check(&a.replace("END A", "END B"), &[]);
        check(&a.replace("YWFh", "YWF"), &[]);
        check(&a.replace("YWFh", "YW%Fh"), &[]);
        check(&a.replace("BEGIN A-----", "BEGIN A----"), &[]);
        // What is damaged does not hide what follows.
        check(&format!("-----BEGIN A-----\nYWFh\n{a}"), &[("aaa", false)]);
        check(&format!("-----BEGIN A-----\n%\n-----END A-----\n{a}"), &[("aaa", false)]);
    }
}
