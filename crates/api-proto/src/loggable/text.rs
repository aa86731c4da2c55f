//! The text form of protobuf, on one line.

use std::fmt::{Display, Write as _};

/// How bytes that are no printable text are shown, and what follows a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    /// The older writer: everything but ASCII as `\377`, and a blank behind each field.
    Octal,
    /// The newer one: text as it is, control characters and what is no text as `\xff`, and a blank between fields.
    Hex,
}

/// The fields of a message. Those with their default are left out.
pub(super) struct Text<'a> {
    text: &'a mut String,
    /// Where the message begins.
    begin: usize,
    quoting: Quoting,
}

impl<'a> Text<'a> {
    /// A message behind what `text` has.
    pub(super) fn new(text: &'a mut String, quoting: Quoting) -> Self {
        Self { begin: text.len(), text, quoting }
    }

    /// A field whatever its value, as those are of which a message has one.
    pub(super) fn present(&mut self, name: &str, value: impl Display) {
        self.name(name);
        let _ = write!(self.text, "{value}");
        self.close();
    }

    pub(super) fn number(&mut self, name: &str, value: impl Display + Default + PartialEq) {
        if value != Default::default() {
            self.present(name, value);
        }
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.number(name, value);
    }

    /// An enumeration. Numbers that it does not have are shown as such.
    pub(super) fn choice<E>(&mut self, name: &str, number: i32, value: Result<&str, E>) {
        match value {
            Ok(value) if number != 0 => self.present(name, value),
            Ok(_) => {}
            Err(_) => self.present(name, number),
        }
    }

    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.name(name);
        self.text.push('"');
        match self.quoting {
            Quoting::Octal => push_octal(self.text, bytes),
            Quoting::Hex => push_quoted(self.text, bytes),
        }
        self.text.push('"');
        self.close();
    }

    /// A message that is there, with its text.
    pub(super) fn message(&mut self, name: &str, text: &str) {
        self.present(name, format_args!("{{{text}}}"));
    }

    fn name(&mut self, name: &str) {
        if self.quoting == Quoting::Hex && self.text.len() > self.begin {
            self.text.push(' ');
        }
        self.text.push_str(name);
        self.text.push(':');
    }

    fn close(&mut self) {
        if self.quoting == Quoting::Octal {
            self.text.push(' ');
        }
    }
}

/// Appends bytes as etcd shows a key: text as it is, quotes and backslashes behind a backslash, control characters and
/// what is no text as `\x0f`. No quotes around it.
pub fn push_quoted(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\u{80}'..='\u{9f}' => {
                    let _ = write!(text, "\\u{:04x}", u32::from(char));
                }
                ' ' | '!' | '#'..='[' | ']'..='~' | '\u{a0}'.. => text.push(char),
                _ => push_escape(text, char as u8, |text, byte| write!(text, "\\x{byte:02x}")),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
}

fn push_octal(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b' ' | b'!' | b'#'..=b'[' | b']'..=b'~' => text.push(char::from(*byte)),
            _ => push_escape(text, *byte, |text, byte| write!(text, "\\{byte:03o}")),
        }
    }
}

/// A byte that is not shown as itself: in one letter, or by `number`.
fn push_escape(text: &mut String, byte: u8, number: impl FnOnce(&mut String, u8) -> std::fmt::Result) {
    let letter = match byte {
        b'\n' => 'n',
        b'\r' => 'r',
        b'\t' => 't',
        b'"' | b'\\' => char::from(byte),
        _ => {
            let _ = number(text, byte);
            return;
        }
    };
    text.push('\\');
    text.push(letter);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_quoted() {
        fn check(bytes: &[u8], expected: &str) {
            let mut text = String::new();
            push_quoted(&mut text, bytes);
            assert_eq!(text, expected);
        }
        check(b"plain /key", "plain /key");
        check(b"\"\\\n\r\t", r#"\"\\\n\r\t"#);
        check(b"\0\x1f\x7f\xff", r"\x00\x1f\x7f\xff");
        check("é\u{85}\u{a0}日".as_bytes(), "é\\u0085\u{a0}日");
        check(b"a\xe6\x97", r"a\xe6\x97");
    }

    #[test]
    fn unknown_choices_are_numbers() {
        let mut all = "before ".to_owned();
        let mut text = Text::new(&mut all, Quoting::Hex);
        text.choice("a", 0, Ok::<_, ()>("ZERO"));
        text.choice("b", 1, Ok::<_, ()>("ONE"));
        text.choice("c", 9, Err::<&str, _>(()));
        assert_eq!(all, "before b:ONE c:9");
    }
}
