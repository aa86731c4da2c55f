//! From the value of a key in the configuration file to that of its flag, by the types of etcd's fields.

use crate::yaml::Yaml;
use crate::{Flag, Kind, Nanos, Value, ValueError};

/// Why a value does not fit its key.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It has the wrong type; the texts are those of [`LoadError::FileValue`](crate::LoadError::FileValue).
    Type { expected: String, found: String, advice: String },
    /// It is a text of another form.
    Text(ValueError),
}

impl Problem {
    pub(crate) fn new(expected: &str, found: &Yaml) -> Self {
        Self::Type { expected: expected.to_owned(), found: show(found), advice: String::new() }
    }
}

/// The value of a flag; `None` where the file leaves the default.
pub(crate) fn convert(flag: &Flag, value: &Yaml) -> Result<Option<Value>, Problem> {
    let converted = match (flag.kind, value) {
        (_, Yaml::Null) => return Ok(None),
        (Kind::Text | Kind::OneOf(_) | Kind::SomeOf(_), Yaml::Text(text)) => Some(Value::Text(text.clone())),
        (Kind::Uint(max), _) => unsigned(value).filter(|number| *number <= max).map(Value::Uint),
        (Kind::Uint32, _) => unsigned(value).filter(|number| u32::try_from(*number).is_ok()).map(Value::Uint),
        (Kind::Int, _) => signed(value).map(Value::Int),
        (Kind::Bool, Yaml::Bool(bool)) => Some(Value::Bool(*bool)),
        (Kind::Duration, _) => signed(value).map(|nanos| Value::Duration(Nanos(nanos))),
        (Kind::List | Kind::Set, Yaml::List(items)) if items.is_empty() => return Ok(None),
        (Kind::List | Kind::Set, Yaml::List(items)) => {
            let Value::List(defaults) = flag.default_value() else { return Ok(None) };
            texts(items, &defaults).map(Value::List)
        }
        (Kind::Urls | Kind::Origins | Kind::Hosts, Yaml::Text(text)) if text.is_empty() => return Ok(None),
        (Kind::Urls | Kind::Origins | Kind::Hosts | Kind::Gates, Yaml::Text(text)) => {
            Some(flag.kind.parse(text, flag.default).map_err(Problem::Text)?)
        }
        _ => None,
    };
    converted.map(Some).ok_or_else(|| problem(flag, value))
}

/// A whole number, as JSON writes it.
fn signed(value: &Yaml) -> Option<i64> {
    match value {
        Yaml::Int(number) => Some(*number),
        Yaml::Float(number) => digits(*number)?.parse().ok(),
        _ => None,
    }
}

fn unsigned(value: &Yaml) -> Option<u64> {
    match value {
        Yaml::Int(number) => u64::try_from(*number).ok(),
        Yaml::Uint(number) => Some(*number),
        Yaml::Float(number) => digits(*number)?.parse().ok(),
        _ => None,
    }
}

/// The decimal digits of a number, of which Go writes only those below 10^21 without an exponent.
fn digits(number: f64) -> Option<String> {
    (number.abs() < 1e21).then(|| number.to_string())
}

/// A list of texts, where nothing leaves the default at its place, or is an empty text.
fn texts(items: &[Yaml], defaults: &[String]) -> Option<Vec<String>> {
    let text = |(at, item): (usize, &Yaml)| match item {
        Yaml::Text(text) => Some(text.clone()),
        Yaml::Null => Some(defaults.get(at).cloned().unwrap_or_default()),
        _ => None,
    };
    items.iter().enumerate().map(text).collect()
}

fn problem(flag: &Flag, value: &Yaml) -> Problem {
    let is_secret = matches!(flag.name, "discovery-password" | "discovery-user");
    Problem::Type {
        expected: match flag.kind {
            Kind::Text | Kind::OneOf(_) | Kind::SomeOf(_) | Kind::Ignored => "a text".to_owned(),
            Kind::Gates => "a text with feature gates separated by commas".to_owned(),
            Kind::Uint32 => format!("a number from 0 to {}", u32::MAX),
            Kind::Uint(u64::MAX) => "a number that is not negative".to_owned(),
            Kind::Uint(max) => format!("a number from 0 to {max}"),
            Kind::Int => "a number".to_owned(),
            Kind::Bool => "true or false".to_owned(),
            Kind::Duration => "a number of nanoseconds".to_owned(),
            Kind::List | Kind::Set => "a list of texts".to_owned(),
            Kind::Urls | Kind::Origins => "a text with URLs separated by commas".to_owned(),
            Kind::Hosts => "a text with hosts separated by commas".to_owned(),
        },
        found: if is_secret { "********".to_owned() } else { show(value) },
        advice: advice(flag.kind, value).map_or_else(String::new, |advice| format!("; {advice}")),
    }
}

/// What to write instead.
fn advice(kind: Kind, value: &Yaml) -> Option<String> {
    match (kind, value) {
        (
            Kind::Text | Kind::OneOf(_) | Kind::SomeOf(_),
            Yaml::Bool(_) | Yaml::Int(_) | Yaml::Uint(_) | Yaml::Float(_),
        ) => Some("put the text in quotes".to_owned()),
        (Kind::Bool, Yaml::Text(text))
            if matches!(&**text, "true" | "false" | "yes" | "no" | "on" | "off") =>
        {
            Some("write it without quotes".to_owned())
        }
        (Kind::Duration, Yaml::Text(text)) => Some(format!("write {}", text.parse::<Nanos>().ok()?.0)),
        (Kind::List | Kind::Set, Yaml::Text(text)) => {
            Some(format!("write {:?}", text.split(',').map(str::trim).collect::<Vec<_>>()))
        }
        (Kind::Urls | Kind::Origins | Kind::Hosts, Yaml::List(items)) => {
            Some(format!("write {:?}", texts(items, &[])?.join(",")))
        }
        _ => None,
    }
}

/// A value as JSON has it.
fn show(value: &Yaml) -> String {
    let all = |shown: Vec<String>| shown.join(", ");
    match value {
        Yaml::Null => "null".to_owned(),
        Yaml::Bool(bool) => bool.to_string(),
        Yaml::Int(number) => number.to_string(),
        Yaml::Uint(number) => number.to_string(),
        Yaml::Float(number) => number.to_string(),
        Yaml::Text(text) => format!("{text:?}"),
        Yaml::List(items) => format!("[{}]", all(items.iter().map(show).collect())),
        Yaml::Map(map) => {
            format!(
                "{{{}}}",
                all(map.iter().map(|(key, value)| format!("{key:?}: {}", show(value))).collect())
            )
        }
    }
}
