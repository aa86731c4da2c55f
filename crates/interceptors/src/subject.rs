//! What a request is about, as members of a JSON object.

use std::fmt::{Display, Write as _};

use ferretcd_base::LeaseId;

/// Bytes of a key that are shown; of a longer one its length is said as well.
const KEY_BYTES_MAX: usize = 1024;
/// The same of a text.
const TEXT_BYTES_MAX: usize = 1024;
/// Behind so many bytes of the line lists are not continued; the number of their elements is said as well.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Collects members of a JSON object. Keys are text, quoted as the caller says.
#[derive(Debug)]
pub struct Subject {
    json: String,
    quote: fn(&mut String, &[u8]),
}

impl Subject {
    /// An object without members. `quote` turns bytes into text, without quotes around it.
    pub(crate) fn new(quote: fn(&mut String, &[u8])) -> Self {
        Self { json: String::with_capacity(256), quote }
    }

    /// A text that is no key and no secret.
    pub fn text(&mut self, name: &str, value: &str) {
        let shown = value.get(..value.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or(value);
        self.cut(name, shown, shown.len(), value.len());
    }

    /// A text that has nothing to escape, such as an address.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) {
        self.name(name);
        let _ = write!(self.json, "\"{value}\"");
    }

    /// A number or a truth value.
    pub fn number(&mut self, name: &str, value: impl Display) {
        self.name(name);
        let _ = write!(self.json, "{value}");
    }

    /// An id of a lease, as etcd writes it.
    pub fn lease(&mut self, id: i64) {
        self.name("lease");
        let _ = write!(self.json, "\"{}\"", LeaseId(id));
    }

    /// A key, or a range of keys if there is an end.
    pub fn range(&mut self, key: &[u8], range_end: &[u8]) {
        self.key("key", key);
        if !range_end.is_empty() {
            self.key("range_end", range_end);
        }
    }

    /// A list of objects.
    pub fn list<T>(&mut self, name: &str, items: &[T], write: impl Fn(&T, &mut Subject)) {
        if items.is_empty() {
            return;
        }
        self.name(name);
        self.json.push('[');
        for item in items {
            if self.json.len() > LINE_BYTES_MAX {
                self.json.push(']');
                return self.number(&format!("{name}_len"), items.len());
            }
            if !self.json.ends_with('[') {
                self.json.push(',');
            }
            self.json.push('{');
            write(item, self);
            self.json.push('}');
        }
        self.json.push(']');
    }

    pub(crate) fn into_json(self) -> String {
        self.json
    }

    fn key(&mut self, name: &str, key: &[u8]) {
        let mut text = String::new();
        let shown = key.get(..KEY_BYTES_MAX).unwrap_or(key);
        (self.quote)(&mut text, shown);
        self.cut(name, &text, shown.len(), key.len());
    }

    /// A text that shows so many bytes of all.
    fn cut(&mut self, name: &str, text: &str, shown: usize, all: usize) {
        self.name(name);
        push_json_string(&mut self.json, text);
        if shown < all {
            self.number(&format!("{name}_bytes"), all);
        }
    }

    fn name(&mut self, name: &str) {
        if !self.json.is_empty() && !self.json.ends_with('{') {
            self.json.push(',');
        }
        // Names are ours, and plain.
        self.json.push('"');
        self.json.push_str(name);
        self.json.push_str("\":");
    }
}

fn push_json_string(json: &mut String, text: &str) {
    json.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        json.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            byte @ (b'"' | b'\\') => {
                json.push('\\');
                json.push(char::from(byte));
            }
            byte => {
                let _ = write!(json, "\\u{byte:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    json.push_str(rest);
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl FnOnce(&mut Subject), expected: &str) {
        let mut subject = Subject::new(|text, bytes| text.push_str(&String::from_utf8_lossy(bytes)));
        write(&mut subject);
        assert_eq!(subject.into_json(), expected);
    }

    #[test]
    fn members_are_json() {
        let write = |subject: &mut Subject| {
            subject.text("name", "a\"b\\c\n");
            subject.number("limit", 3);
            subject.lease(0x1f);
            subject.lease(-1);
            subject.range(b"k", b"");
        };
        check(
            write,
            r#""name":"a\"b\\c\u000a","limit":3,"lease":"000000000000001f","lease":"-000000000000001","key":"k""#,
        );
    }

    #[test]
    fn lists_are_nested() {
        let write = |subject: &mut Subject| {
            subject.list("none", &[0; 0], |_, _| {});
            subject.list("ops", &[1, 2], |op, subject| {
                subject.number("op", op);
                subject.list("in", &[7], |op, subject| subject.number("op", op));
            });
        };
        check(write, r#""ops":[{"op":1,"in":[{"op":7}]},{"op":2,"in":[{"op":7}]}]"#);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = format!("{}é", "a".repeat(TEXT_BYTES_MAX - 1));
        let expected = format!(r#""name":"{}","name_bytes":{}"#, "a".repeat(TEXT_BYTES_MAX - 1), text.len());
        check(|subject| subject.text("name", &text), &expected);
    }

    #[test]
    fn long_lists_are_not_continued() {
        let write = |subject: &mut Subject| {
            subject.list("ops", &[(); 100], |(), subject| {
                subject.range(&[b'k'; KEY_BYTES_MAX], b"");
                subject.list("in", &[(); 100], |(), subject| subject.range(&[b'k'; KEY_BYTES_MAX], b""));
            });
            subject.number("behind", 1);
        };
        let mut subject = Subject::new(|text, bytes| text.push_str(&String::from_utf8_lossy(bytes)));
        write(&mut subject);
        let json = subject.into_json();
        assert!(json.len() < LINE_BYTES_MAX + 2 * KEY_BYTES_MAX, "{}", json.len());
        assert!(json.ends_with(r#""}],"in_len":100}],"ops_len":100,"behind":1"#), "{json}");
    }

    #[test]
    fn long_keys_are_cut() {
        let (key, shown) = ("a".repeat(KEY_BYTES_MAX + 5), "a".repeat(KEY_BYTES_MAX));
        let expected = format!(r#""key":"{shown}","key_bytes":{}"#, KEY_BYTES_MAX + 5);
        check(|subject| subject.range(key.as_bytes(), b""), &expected);
    }
}
