//! Finds the end of a JSON value in text that arrives in pieces, and checks its syntax on the way.
//!
//! The grammar is RFC 8259's. Errors are those of Go's `encoding/json`, which reads the bodies of etcd's gateway.

use std::fmt;

/// Arrays and objects that may be open within each other; Go's bound.
const DEPTH_MAX: usize = 10_000;

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SyntaxError {
    /// A byte that no value has there.
    Character { byte: u8, context: Context },
    /// The text ends within a value.
    UnexpectedEnd,
    /// Arrays and objects are nested too deep: the byte opens one more.
    TooDeep(u8),
}

/// Where in a value an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    Value,
    Key,
    AfterKey,
    AfterPair,
    AfterElement,
    String,
    Escape,
    Hexadecimal,
    Number,
    Fraction,
    Exponent,
    Literal { whole: &'static str, expected: u8 },
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "looking for beginning of value",
            Self::Key => "looking for beginning of object key string",
            Self::AfterKey => "after object key",
            Self::AfterPair => "after object key:value pair",
            Self::AfterElement => "after array element",
            Self::String => "in string literal",
            Self::Escape => "in string escape code",
            Self::Hexadecimal => "in \\u hexadecimal character escape",
            Self::Number => "in numeric literal",
            Self::Fraction => "after decimal point in numeric literal",
            Self::Exponent => "in exponent of numeric literal",
            Self::Literal { whole, expected } => {
                return write!(f, "in literal {whole} (expecting '{}')", char::from(*expected));
            }
        })
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { byte, context } => {
                write!(f, "invalid character {} {context}", quoted(*byte))
            }
            Self::UnexpectedEnd => f.write_str("unexpected EOF"),
            Self::TooDeep(byte) => write!(f, "invalid character {} exceeded max depth", quoted(*byte)),
        }
    }
}

/// A byte as Go quotes a character, the byte standing for the code point of its number.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        0x07 => r"'\a'".to_owned(),
        0x08 => r"'\b'".to_owned(),
        0x0b => r"'\v'".to_owned(),
        0x0c => r"'\f'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        // Not printable in Go's eyes: the controls of Latin-1, its hard space and its soft hyphen.
        0x80..=0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

/// What the next byte is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value; in an array just opened also its end.
    Value {
        or_end: bool,
    },
    /// A key; in an object just opened also its end.
    Key {
        or_end: bool,
    },
    AfterKey,
    /// Behind a value: a comma, the end of what it is in, or anything behind the outermost one.
    AfterValue,
    String {
        is_key: bool,
    },
    Escape {
        is_key: bool,
    },
    Hexadecimal {
        is_key: bool,
        left: u8,
    },
    Minus,
    /// Behind a zero that more digits must not follow.
    Zero,
    Digits,
    Point,
    FractionDigits,
    Exponent,
    ExponentSign,
    ExponentDigits,
    Literal {
        whole: &'static str,
        at: u8,
    },
}

/// The state of a text that has been looked at so far.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    /// Whether each open thing is an object, from the outside in.
    open: Vec<bool>,
    is_begun: bool,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self { state: State::Value { or_end: false }, open: Vec::new(), is_begun: false }
    }

    /// Whether anything but blanks was seen.
    pub(crate) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Looks at further text. `Some` is how many of its bytes belong to the value, when that ends there; the scanner is
    /// then as new.
    pub(crate) fn scan(&mut self, text: &[u8]) -> Result<Option<usize>, SyntaxError> {
        let mut at = 0;
        while at < text.len() {
            if let State::String { .. } = self.state {
                at += text[at..].iter().take_while(|byte| is_plain(**byte)).count();
                if at == text.len() {
                    break;
                }
            }
            let byte = text[at];
            if self.is_behind(byte) {
                *self = Self::new();
                return Ok(Some(at));
            }
            self.step(byte)?;
            at += 1;
            if self.open.is_empty() && self.state == State::AfterValue {
                *self = Self::new();
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Says that there is no further text. `true` if a value ends there, `false` if none has begun.
    pub(crate) fn finish(&mut self) -> Result<bool, SyntaxError> {
        if !self.is_begun {
            return Ok(false);
        }
        let is_whole = self.open.is_empty() && self.is_number();
        *self = Self::new();
        if is_whole { Ok(true) } else { Err(SyntaxError::UnexpectedEnd) }
    }

    /// Whether a number that is the whole value has ended before this byte.
    fn is_behind(&self, byte: u8) -> bool {
        let goes_on = match self.state {
            State::Zero => matches!(byte, b'.' | b'e' | b'E'),
            State::Digits => matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E'),
            State::FractionDigits => matches!(byte, b'0'..=b'9' | b'e' | b'E'),
            State::ExponentDigits => byte.is_ascii_digit(),
            _ => true,
        };
        self.open.is_empty() && !goes_on
    }

    /// Whether what has been seen of a number is one.
    fn is_number(&self) -> bool {
        matches!(self.state, State::Zero | State::Digits | State::FractionDigits | State::ExponentDigits)
    }

    fn step(&mut self, byte: u8) -> Result<(), SyntaxError> {
        let wrong = |context| Err(SyntaxError::Character { byte, context });
        self.state = match (self.state, byte) {
            (
                State::Value { .. } | State::Key { .. } | State::AfterKey | State::AfterValue,
                b' ' | b'\t' | b'\r' | b'\n',
            ) => return Ok(()),
            (State::Value { or_end: true }, b']') => self.close(),
            (State::Value { .. }, _) => self.begin(byte)?,
            (State::Key { or_end: true }, b'}') => self.close(),
            (State::Key { .. }, b'"') => State::String { is_key: true },
            (State::Key { .. }, _) => return wrong(Context::Key),
            (State::AfterKey, b':') => State::Value { or_end: false },
            (State::AfterKey, _) => return wrong(Context::AfterKey),
            (State::AfterValue, _) => self.after_value(byte)?,
            (State::String { is_key: true }, b'"') => State::AfterKey,
            (State::String { is_key: false }, b'"') => State::AfterValue,
            (State::String { is_key }, b'\\') => State::Escape { is_key },
            (State::String { .. }, 0..=0x1f) => return wrong(Context::String),
            (state @ State::String { .. }, _) => state,
            (State::Escape { is_key }, b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => {
                State::String { is_key }
            }
            (State::Escape { is_key }, b'u') => State::Hexadecimal { is_key, left: 4 },
            (State::Escape { .. }, _) => return wrong(Context::Escape),
            (State::Hexadecimal { is_key, left }, _) if byte.is_ascii_hexdigit() => match left - 1 {
                0 => State::String { is_key },
                left => State::Hexadecimal { is_key, left },
            },
            (State::Hexadecimal { .. }, _) => return wrong(Context::Hexadecimal),
            (State::Minus, b'0') => State::Zero,
            (State::Minus, b'1'..=b'9') | (State::Digits, b'0'..=b'9') => State::Digits,
            (State::Minus, _) => return wrong(Context::Number),
            (State::Zero | State::Digits, b'.') => State::Point,
            (State::Zero | State::Digits | State::FractionDigits, b'e' | b'E') => State::Exponent,
            (State::Point | State::FractionDigits, b'0'..=b'9') => State::FractionDigits,
            (State::Point, _) => return wrong(Context::Fraction),
            (State::Exponent, b'+' | b'-') => State::ExponentSign,
            (State::Exponent | State::ExponentSign | State::ExponentDigits, b'0'..=b'9') => {
                State::ExponentDigits
            }
            (State::Exponent | State::ExponentSign, _) => return wrong(Context::Exponent),
            (State::Zero | State::Digits | State::FractionDigits | State::ExponentDigits, _) => {
                self.state = State::AfterValue;
                return self.step(byte);
            }
            (State::Literal { whole, at }, _) => {
                let expected = whole.as_bytes()[usize::from(at)];
                if byte != expected {
                    return wrong(Context::Literal { whole, expected });
                }
                let at = at + 1;
                if usize::from(at) == whole.len() { State::AfterValue } else { State::Literal { whole, at } }
            }
        };
        Ok(())
    }

    /// The first byte of a value.
    fn begin(&mut self, byte: u8) -> Result<State, SyntaxError> {
        self.is_begun = true;
        Ok(match byte {
            b'{' => self.open(true, State::Key { or_end: true })?,
            b'[' => self.open(false, State::Value { or_end: true })?,
            b'"' => State::String { is_key: false },
            b'-' => State::Minus,
            b'0' => State::Zero,
            b'1'..=b'9' => State::Digits,
            b't' => State::Literal { whole: "true", at: 1 },
            b'f' => State::Literal { whole: "false", at: 1 },
            b'n' => State::Literal { whole: "null", at: 1 },
            _ => return Err(SyntaxError::Character { byte, context: Context::Value }),
        })
    }

    fn after_value(&mut self, byte: u8) -> Result<State, SyntaxError> {
        let context = match (self.open.last(), byte) {
            (Some(true), b',') => return Ok(State::Key { or_end: false }),
            (Some(false), b',') => return Ok(State::Value { or_end: false }),
            (Some(true), b'}') | (Some(false), b']') => return Ok(self.close()),
            (Some(true), _) => Context::AfterPair,
            (_, _) => Context::AfterElement,
        };
        Err(SyntaxError::Character { byte, context })
    }

    fn open(&mut self, is_object: bool, state: State) -> Result<State, SyntaxError> {
        if self.open.len() == DEPTH_MAX {
            return Err(SyntaxError::TooDeep(if is_object { b'{' } else { b'[' }));
        }
        self.open.push(is_object);
        Ok(state)
    }

    fn close(&mut self) -> State {
        self.open.pop();
        State::AfterValue
    }
}

/// Whether a byte in a string stands for itself.
fn is_plain(byte: u8) -> bool {
    !matches!(byte, b'"' | b'\\' | 0..=0x1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the first value ends when the text comes in one piece, and byte by byte.
    fn end(text: &str) -> Result<Option<usize>, String> {
        let whole = scan([text.as_bytes()]);
        assert_eq!(scan(text.as_bytes().chunks(1)), whole, "{text}");
        whole
    }

    fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<usize>, String> {
        let mut scanner = Scanner::new();
        let mut before = 0;
        for piece in pieces {
            if let Some(n) = scanner.scan(piece).map_err(|error| error.to_string())? {
                return Ok(Some(before + n));
            }
            before += piece.len();
        }
        let has_value = scanner.finish().map_err(|error| error.to_string())?;
        Ok(has_value.then_some(before))
    }

    #[test]
    fn a_value_ends_with_its_last_byte() {
        for value in [
            "{}",
            "[]",
            r#""""#,
            r#"{"a":1}"#,
            r#"{"a":[1,2,{"b":"\"}"}],"c":null}"#,
            "true",
            "null",
            "[[[]]]",
            r#"["\u00e9\n"]"#,
            r#" {"a" : -0.5e+3 , "b":[ ] }"#,
        ] {
            assert_eq!(end(value), Ok(Some(value.len())), "{value}");
            let more = format!("{value} {{");
            assert_eq!(end(&more), Ok(Some(value.len())), "{more}");
            assert_eq!(end(&format!("{value}x")), Ok(Some(value.len())));
        }
    }

    #[test]
    fn a_number_ends_before_what_is_none() {
        for (text, expected) in [("1", 1), ("10 ", 2), ("1.5,", 3), ("-0.5e-3}", 7), ("01", 1), ("1e5x", 3)] {
            assert_eq!(end(text), Ok(Some(expected)), "{text}");
        }
    }

    #[test]
    fn without_a_value() {
        assert_eq!(end(""), Ok(None));
        assert_eq!(end(" \n\t\r"), Ok(None));
    }

    #[test]
    fn unfinished_text() {
        for text in [
            "{", "[", "\"", "{\"a", "{\"a\":", "{\"a\":1", "[1", "tru", "-", "1.", "1e", "1e+", "\"\\",
            "\"\\u00",
        ] {
            assert_eq!(end(text), Err("unexpected EOF".to_owned()), "{text}");
        }
    }

    #[test]
    fn errors_are_those_of_go() {
        for (text, expected) in [
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{,}", "invalid character ',' looking for beginning of object key string"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("\"\n\"", r"invalid character '\n' in string literal"),
            (r#""\x""#, "invalid character 'x' in string escape code"),
            (r#""\u00g0""#, r"invalid character 'g' in \u hexadecimal character escape"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("[01]", "invalid character '1' after array element"),
            ("trUe", "invalid character 'U' in literal true (expecting 'u')"),
            ("nil", "invalid character 'i' in literal null (expecting 'u')"),
            ("'", r"invalid character '\'' looking for beginning of value"),
            ("{\"a\":\\", r"invalid character '\\' looking for beginning of value"),
            ("\u{7f}", r"invalid character '\x7f' looking for beginning of value"),
            ("\u{1f}", r"invalid character '\x1f' looking for beginning of value"),
            ("é", "invalid character 'Ã' looking for beginning of value"),
        ] {
            assert_eq!(end(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(end(&nested(DEPTH_MAX)), Ok(Some(2 * DEPTH_MAX)));
        assert_eq!(end(&nested(DEPTH_MAX + 1)), Err("invalid character '[' exceeded max depth".to_owned()));
    }
}
