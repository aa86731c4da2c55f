//! The kinds of values that flags take.

use std::fmt;

use ferretcd_membership::{Url, UrlError};

use crate::go::{Nanos, ScalarError, parse_bool, parse_int, parse_uint};
use crate::{FeatureGates, GateError};

/// What a flag's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// Some of these texts, separated by commas. The file takes any text.
    SomeOf(&'static [&'static str]),
    /// Feature gates with their values, separated by commas. Another value adds to the ones before.
    Gates,
    /// A number from zero up to this one.
    Uint(u64),
    /// A number of 32 bits without a sign, whose errors have another text.
    Uint32,
    /// A number of 64 bits with a sign.
    Int,
    /// True or false.
    Bool,
    /// A span of time.
    Duration,
    /// Texts separated by commas, blanks and empty ones included. A list in the file.
    List,
    /// Like [`Kind::List`], in the order of their bytes and each once.
    Set,
    /// Like [`Kind::Set`], and a single text in the file, too. An empty text there keeps the default.
    Hosts,
    /// URLs separated by commas. An empty text keeps the default.
    Urls,
    /// Like [`Kind::Hosts`], where each text is a URL or there is only a `*`.
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
    Gates(FeatureGates),
    Ignored,
}

/// Why a text is not a value of its flag's kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a number, boolean or duration.
    #[error(transparent)]
    Scalar(#[from] ScalarError),
    /// Not one of the texts the flag knows.
    #[error("invalid value")]
    NotOneOf,
    /// Not one of the texts the flag knows, among several.
    #[error("invalid value {0:?}")]
    NotSomeOf(String),
    /// Not a number of 32 bits.
    #[error(
        "strconv.ParseUint: parsing {text:?}: {}",
        if *.source == ScalarError::Range { "value out of range" } else { "invalid syntax" }
    )]
    Uint32 {
        /// The text.
        text: String,
        /// What is wrong with it.
        source: ScalarError,
    },
    /// Not feature gates.
    #[error(transparent)]
    Gates(#[from] GateError),
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
            Self::OneOf(_) => return Err(ValueError::NotOneOf),
            Self::SomeOf(texts) => match text.split(',').find(|item| !texts.contains(item)) {
                Some(item) => return Err(ValueError::NotSomeOf(item.to_owned())),
                None => Value::Text(text.to_owned()),
            },
            Self::Gates => {
                let mut gates = FeatureGates::default();
                gates.set(text)?;
                Value::Gates(gates)
            }
            Self::Uint(max) => Value::Uint(bounded(text, *max)?),
            Self::Uint32 => Value::Uint(
                bounded(text, u32::MAX.into())
                    .map_err(|source| ValueError::Uint32 { text: text.to_owned(), source })?,
            ),
            Self::Int => Value::Int(parse_int(text)?),
            Self::Bool => Value::Bool(parse_bool(text)?),
            Self::Duration => Value::Duration(text.parse().map_err(ScalarError::from)?),
            Self::List => Value::List(split(text)),
            Self::Set | Self::Hosts => Value::List(sorted(split(text))),
            Self::Urls if text.is_empty() => self.parse_default(default),
            Self::Urls => Value::Urls(Url::parse_list(text)?),
            Self::Origins if text == "*" => Value::List(split(text)),
            Self::Origins => Value::List(sorted(Url::parse_list(text)?.iter().map(Url::to_string).collect())),
            Self::Ignored => Value::Ignored,
        })
    }

    /// Reads a default of the table, where an empty text stands for zero, nothing or no URL.
    pub(crate) fn parse_default(&self, text: &str) -> Value {
        match self {
            Self::Urls if text.is_empty() => Value::Urls(Vec::new()),
            Self::List | Self::Set | Self::Hosts if text.is_empty() => Value::List(Vec::new()),
            Self::OneOf(_) | Self::SomeOf(_) => Value::Text(text.to_owned()),
            _ => self.parse(text, "").expect("the table's defaults are of their flags' kinds"),
        }
    }
}

fn bounded(text: &str, max: u64) -> Result<u64, ScalarError> {
    parse_uint(text).and_then(|number| if number > max { Err(ScalarError::Range) } else { Ok(number) })
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts.dedup();
    texts
}

/// The notation of the command line.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Uint(number) => number.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Bool(bool) => bool.fmt(f),
            Self::Duration(nanos) => nanos.fmt(f),
            Self::List(texts) => f.write_str(&texts.join(",")),
            Self::Urls(urls) => f.write_str(&urls.iter().map(Url::as_str).collect::<Vec<_>>().join(",")),
            Self::Gates(gates) => gates.fmt(f),
            Self::Ignored => Ok(()),
        }
    }
}
