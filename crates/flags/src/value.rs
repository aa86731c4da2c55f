//! The kinds of values that flags take.

use ferretcd_membership::{Url, UrlError};

use crate::go::{Nanos, ScalarError, parse_bool, parse_int, parse_uint};

/// What a flag's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A number from zero up to this one.
    Uint(u64),
    /// A number of 64 bits with a sign.
    Int,
    /// True or false.
    Bool,
    /// A span of time.
    Duration,
    /// Texts separated by commas.
    List,
    /// URLs separated by commas. An empty text keeps the default.
    Urls,
    /// Like [`Kind::List`], where each text is a URL or the list is a single `*`.
    Origins,
    /// Anything; it is not looked at.
    Ignored,
}

/// A parsed value. Which variant it is follows from the [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Uint(u64),
    Int(i64),
    Bool(bool),
    Duration(Nanos),
    List(Vec<String>),
    Urls(Vec<Url>),
    Ignored,
}

/// Why a text is not a value of its flag's kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a number, boolean or duration.
    #[error(transparent)]
    Scalar(#[from] ScalarError),
    /// Not one of the texts the flag knows.
    #[error("invalid value (expected {})", .0.join(" or "))]
    NotOneOf(&'static [&'static str]),
    /// Not URLs.
    #[error(transparent)]
    Url(#[from] UrlError),
}

impl Kind {
    /// Reads a value in the notation of the command line.
    pub(crate) fn parse(&self, text: &str, default: &str) -> Result<Value, ValueError> {
        Ok(match self {
            Self::Text => Value::Text(text.to_owned()),
            Self::OneOf(texts) if texts.contains(&text) => Value::Text(text.to_owned()),
            Self::OneOf(texts) => return Err(ValueError::NotOneOf(texts)),
            Self::Uint(max) => match parse_uint(text)? {
                number if number > *max => return Err(ScalarError::Range.into()),
                number => Value::Uint(number),
            },
            Self::Int => Value::Int(parse_int(text)?),
            Self::Bool => Value::Bool(parse_bool(text)?),
            Self::Duration => Value::Duration(text.parse()?),
            Self::List => Value::List(split_list(text)),
            Self::Urls if text.is_empty() => self.parse_default(default),
            Self::Urls => Value::Urls(Url::parse_list(text)?),
            Self::Origins if text.is_empty() || text == "*" => Value::List(split_list(text)),
            Self::Origins => Value::List(Url::parse_list(text)?.iter().map(Url::to_string).collect()),
            Self::Ignored => Value::Ignored,
        })
    }

    /// Reads a default of the table, where an empty text stands for zero, nothing or no URL.
    pub(crate) fn parse_default(&self, text: &str) -> Value {
        match self {
            Self::Urls if text.is_empty() => Value::Urls(Vec::new()),
            Self::OneOf(_) => Value::Text(text.to_owned()),
            _ => self.parse(text, "").expect("the table's defaults are of their flags' kinds"),
        }
    }
}

/// The texts of a comma-separated list; none for an empty text.
fn split_list(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(|item| item.trim().to_owned()).collect() }
}
