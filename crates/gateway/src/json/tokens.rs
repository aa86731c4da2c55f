//! The parts of a JSON value whose syntax was checked.
//!
//! What is left to be wrong are strings: bytes that are not UTF-8, and halves of surrogate pairs. Errors are those of Go's
//! `protojson`, which is stricter there than the reader before it.

use std::borrow::Cow;

/// A part of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    Null,
    Bool(bool),
    /// A number, as its text.
    Number(&'a str),
    /// A string, or the key of an object.
    String(Cow<'a, str>),
    ObjectOpen,
    ObjectClose,
    ArrayOpen,
    ArrayClose,
    End,
}

/// Reads a value token by token.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    /// Where the last token began and ended.
    start: usize,
    end: usize,
}

impl<'a> Tokens<'a> {
    /// `text` is a value that the scanner has found to be well-formed.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, start: 0, end: 0 }
    }

    /// The first byte of the next token; 0 at the end.
    pub(crate) fn peek(&mut self) -> u8 {
        while let Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b':') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// The next token, without the commas and colons before it.
    pub(crate) fn next(&mut self) -> Result<Token<'a>, String> {
        let token = self.read();
        self.end = self.at;
        token
    }

    fn read(&mut self) -> Result<Token<'a>, String> {
        let first = self.peek();
        self.start = self.at;
        let (token, n) = match first {
            0 => (Token::End, 0),
            b'{' => (Token::ObjectOpen, 1),
            b'}' => (Token::ObjectClose, 1),
            b'[' => (Token::ArrayOpen, 1),
            b']' => (Token::ArrayClose, 1),
            b't' => (Token::Bool(true), 4),
            b'f' => (Token::Bool(false), 5),
            b'n' => (Token::Null, 4),
            b'"' => return self.string().map(Token::String),
            _ => {
                let rest = &self.text[self.at..];
                let n = rest.iter().take_while(|byte| is_of_number(**byte)).count().max(1);
                let number = std::str::from_utf8(&rest[..n.min(rest.len())]).unwrap_or_default();
                (Token::Number(number), n)
            }
        };
        self.at = (self.at + n).min(self.text.len());
        Ok(token)
    }

    /// Skips the next value.
    pub(crate) fn skip_value(&mut self) -> Result<(), String> {
        let mut depth = 0_usize;
        loop {
            match self.next()? {
                Token::ObjectOpen | Token::ArrayOpen => depth += 1,
                Token::ObjectClose | Token::ArrayClose => depth = depth.saturating_sub(1),
                Token::End => return Ok(()),
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// The text of the last token.
    pub(crate) fn raw(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(&self.text[self.start..self.end])
    }

    /// Where the last token began.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// Line and column of a place in the text, from 1. A column is a character.
    pub(crate) fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..at];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let in_line = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        (line, characters(in_line) + 1)
    }

    /// The error that a token is not one of those that may stand there.
    pub(crate) fn unexpected(&self) -> String {
        self.syntax_error(&format!("unexpected token {}", self.raw()))
    }

    fn syntax_error(&self, what: &str) -> String {
        let (line, column) = self.position(self.start);
        format!("proto: syntax error (line {line}:{column}): {what}")
    }

    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        let content = self.at + 1;
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
        let find = |from: usize| self.text[from..].iter().position(is_special).map(|n| from + n);
        let Some(first) = find(content) else { return Err(self.syntax_error("unexpected EOF")) };
        let utf8 = |bytes: &'a [u8]| {
            std::str::from_utf8(bytes).map_err(|_| self.syntax_error("invalid UTF-8 in string"))
        };
        if self.text[first] == b'"' {
            let text = utf8(&self.text[content..first])?;
            self.at = first + 1;
            return Ok(Cow::Borrowed(text));
        }
        let mut unescaped = String::new();
        let (mut from, mut special) = (content, first);
        loop {
            unescaped.push_str(utf8(&self.text[from..special])?);
            if self.text[special] == b'"' {
                self.at = special + 1;
                return Ok(Cow::Owned(unescaped));
            }
            let (letter, behind) = self.escape(special)?;
            unescaped.push(letter);
            from = behind;
            special = find(from).ok_or_else(|| self.syntax_error("unexpected EOF"))?;
        }
    }

    /// The character of the escape at a backslash, and what is behind it.
    fn escape(&self, at: usize) -> Result<(char, usize), String> {
        let letter = match self.text.get(at + 1) {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(at),
            other => char::from(other.copied().unwrap_or(b' ')),
        };
        Ok((letter, at + 2))
    }

    fn unicode_escape(&self, at: usize) -> Result<(char, usize), String> {
        let unit = |at: usize| {
            let digits = self.text.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
            u16::from_str_radix(std::str::from_utf8(&digits[2..]).ok()?, 16).ok()
        };
        let first = unit(at).unwrap_or(0);
        let behind = at + 6;
        if !(0xd800..0xe000).contains(&first) {
            return Ok((char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER), behind));
        }
        let Some(rest) = self.text.get(behind..behind + 6) else {
            return Err("proto: unexpected EOF".to_owned());
        };
        let pair = unit(behind).and_then(|second| char::decode_utf16([first, second]).next()?.ok());
        match pair {
            Some(letter) => Ok((letter, behind + 6)),
            None => Err(self.syntax_error(&format!("invalid escape code {} in string", quoted(rest)))),
        }
    }
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Characters of UTF-8; bytes that are none count one each.
fn characters(text: &[u8]) -> usize {
    text.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}

/// Bytes as Go's `%q` shows them, as far as strings of JSON have them.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                letter => text.push(letter),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Token<'_>>, String> {
        let mut tokens = Tokens::new(text.as_bytes());
        let mut found = Vec::new();
        loop {
            match tokens.next()? {
                Token::End => return Ok(found),
                token => found.push(token),
            }
        }
    }

    #[test]
    fn a_value_in_its_parts() {
        let string = |text: &'static str| Token::String(text.into());
        let parts = all(r#" {"a" : [1, -2.5e3,true],"b":null , "c\n":false}"#).expect("it is well-formed");
        let expected = [
            Token::ObjectOpen,
            string("a"),
            Token::ArrayOpen,
            Token::Number("1"),
            Token::Number("-2.5e3"),
            Token::Bool(true),
            Token::ArrayClose,
            string("b"),
            Token::Null,
            string("c\n"),
            Token::Bool(false),
            Token::ObjectClose,
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn strings_are_unescaped() {
        for (text, expected) in [
            (r#""""#, ""),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""é\u00e9x""#, "ééx"),
            (r#""\ud83d\ude00!""#, "\u{1f600}!"),
        ] {
            assert_eq!(all(text), Ok(vec![Token::String(expected.into())]), "{text}");
        }
    }

    #[test]
    fn half_of_a_surrogate_pair() {
        let error = |text: &str| all(text).expect_err("it is no character");
        assert_eq!(error(r#""\ud800""#), "proto: unexpected EOF");
        assert_eq!(
            error(r#""\ud800abcdef""#),
            r#"proto: syntax error (line 1:1): invalid escape code "abcdef" in string"#
        );
        assert_eq!(
            error(r#"{"a":"\ud83d\u0041"}"#),
            r#"proto: syntax error (line 1:6): invalid escape code "\\u0041" in string"#
        );
    }

    #[test]
    fn bytes_that_are_no_text() {
        let mut tokens = Tokens::new(b"\"\xff\"");
        assert_eq!(tokens.next(), Err("proto: syntax error (line 1:1): invalid UTF-8 in string".to_owned()));
    }

    #[test]
    fn values_are_skipped_whole() {
        for value in ["1", "{}", r#"{"a":[{}]}"#, r#"[[1],"]"]"#, "null"] {
            let text = format!("[{value},7]");
            let mut tokens = Tokens::new(text.as_bytes());
            tokens.next().expect("the array");
            tokens.skip_value().expect("it is well-formed");
            assert_eq!(tokens.next(), Ok(Token::Number("7")), "{value}");
        }
    }

    #[test]
    fn positions_count_characters() {
        let tokens = Tokens::new("ab\né\u{1f600}x".as_bytes());
        assert_eq!(tokens.position(0), (1, 1));
        assert_eq!(tokens.position(3), (2, 1));
        assert_eq!(tokens.position(9), (2, 3));
    }
}
