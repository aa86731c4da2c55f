//! What a scalar means: the rules of Go's library for YAML 1.1, in one place.

use data_encoding::BASE64;

use super::node::Scalar;
use super::{Yaml, YamlError};

const PREFIX: &str = "tag:yaml.org,2002:";

/// The value of a scalar.
pub(super) fn resolve(scalar: &Scalar) -> Result<Yaml, YamlError> {
    let text = &*scalar.text;
    match scalar.tag.strip_prefix(PREFIX) {
        None if scalar.tag.is_empty() && scalar.is_plain => Ok(plain(text)),
        Some("binary") => binary(text),
        Some(tag @ ("bool" | "int" | "float" | "null")) => tagged(tag, text),
        // Quoted, `!!str`, and tags that nothing is known of. `!!timestamp` is a text in etcd, too.
        _ => Ok(Yaml::Text(text.to_owned())),
    }
}

/// The value of a text without quotes.
fn plain(text: &str) -> Yaml {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Yaml::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Yaml::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Yaml::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Yaml::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Yaml::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Yaml::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'0'..=b'9' | b'+' | b'-' => {
            let digits = text.replace('_', "");
            integer(&digits).or_else(|| decimal(&digits))
        }
        b'.' => decimal(text),
        _ => None,
    }
    .unwrap_or_else(|| Yaml::Text(text.to_owned()))
}

/// A number of 64 bits: decimal, or with the prefix `0x`, `0o`, a plain `0`, or `0b`. Only one without a sign may be
/// above the numbers with one.
fn integer(text: &str) -> Option<Yaml> {
    let (sign, digits) = match text.as_bytes()[0] {
        b'-' => ("-", &text[1..]),
        b'+' => ("+", &text[1..]),
        _ => ("", text),
    };
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    if let Ok(number) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
        return Some(Yaml::Int(number));
    }
    u64::from_str_radix(digits, radix).ok().filter(|_| sign.is_empty()).map(Yaml::Uint)
}

/// A decimal number, with a fraction and an exponent or without. One that is too large is a text.
fn decimal(text: &str) -> Option<Yaml> {
    let has_form = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let number: f64 = text.parse().ok().filter(|_| has_form)?;
    number.is_finite().then_some(Yaml::Float(number))
}

/// A text that has to be of the type of its tag.
fn tagged(tag: &str, text: &str) -> Result<Yaml, YamlError> {
    let value = plain(text);
    let found = match (&value, tag) {
        (Yaml::Null, "null") | (Yaml::Bool(_), "bool") | (Yaml::Float(_), "float") => return Ok(value),
        (Yaml::Int(_) | Yaml::Uint(_), "int") => return Ok(value),
        (Yaml::Int(number), "float") => return Ok(Yaml::Float(*number as f64)),
        (Yaml::Null, _) => "!!null",
        (Yaml::Bool(_), _) => "!!bool",
        (Yaml::Int(_) | Yaml::Uint(_), _) => "!!int",
        (Yaml::Float(_), _) => "!!float",
        _ => "!!str",
    };
    Err(YamlError::Tag { found, text: text.to_owned(), wanted: format!("!!{tag}") })
}

fn binary(text: &str) -> Result<Yaml, YamlError> {
    let text = text.replace(['\r', '\n'], "");
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| YamlError::Binary)?;
    Ok(Yaml::Text(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Yaml) {
        assert_eq!(plain(text), expected, "{text}");
    }

    #[test]
    fn truth_and_nothing() {
        for text in ["y", "Yes", "TRUE", "on", "ON"] {
            check(text, Yaml::Bool(true));
        }
        for text in ["n", "No", "false", "OFF"] {
            check(text, Yaml::Bool(false));
        }
        for text in ["", "~", "null", "NULL"] {
            check(text, Yaml::Null);
        }
        for text in [
            "yEs",
            "t",
            "nULL",
            "x",
            "<<",
            "10:30",
            "2001-01-01",
            "0o8",
            "0b2",
            "+",
            "--1",
            "+-1",
            "1e",
            ".",
            "1e999",
        ] {
            check(text, Yaml::Text(text.to_owned()));
        }
    }

    #[test]
    fn numbers() {
        for text in ["500", "+500", "0x1F4", "0X1f4", "0764", "0o764", "0b111110100", "5_0_0", "500_"] {
            check(text, Yaml::Int(500));
        }
        check("-0x10", Yaml::Int(-16));
        check("-9223372036854775808", Yaml::Int(i64::MIN));
        check("18446744073709551615", Yaml::Uint(u64::MAX));
        check("+18446744073709551615", Yaml::Float(18_446_744_073_709_551_615.0));
        check("18446744073709551616", Yaml::Float(18_446_744_073_709_551_616.0));
        // Not octal, so decimal.
        check("08", Yaml::Float(8.0));
        check("1e3", Yaml::Float(1000.0));
        check(".5", Yaml::Float(0.5));
        check("5.", Yaml::Float(5.0));
        check("-.5", Yaml::Float(-0.5));
    }

    #[test]
    fn tags() {
        fn check(tag: &str, text: &str, expected: Yaml) {
            let scalar = Scalar { text: text.to_owned(), tag: tag.to_owned(), is_plain: false };
            assert_eq!(resolve(&scalar), Ok(expected), "{tag} {text}");
        }
        check("", "5", Yaml::Text("5".to_owned()));
        check("tag:yaml.org,2002:str", "5", Yaml::Text("5".to_owned()));
        check("tag:yaml.org,2002:int", "5", Yaml::Int(5));
        check("tag:yaml.org,2002:float", "5", Yaml::Float(5.0));
        check("tag:yaml.org,2002:bool", "no", Yaml::Bool(false));
        check("tag:yaml.org,2002:null", "", Yaml::Null);
        check("tag:yaml.org,2002:binary", "eA\n==", Yaml::Text("x".to_owned()));
        check("!custom", "5", Yaml::Text("5".to_owned()));
    }
}
