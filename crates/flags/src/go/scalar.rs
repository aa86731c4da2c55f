//! Numbers and booleans as Go's `strconv` reads them for flags.

/// Why a text is not a number, boolean or duration. The texts are those of Go's flag package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScalarError {
    /// The text has another form.
    #[error("parse error")]
    Syntax,
    /// The form is right and the number too large or too small.
    #[error("value out of range")]
    Range,
}

/// Reads `1`, `t`, `true` and `0`, `f`, `false`, also as `T`, `TRUE`, `True`.
pub fn parse_bool(text: &str) -> Result<bool, ScalarError> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(ScalarError::Syntax),
    }
}

/// Reads an unsigned number: decimal, or with the prefix `0x`, `0o` (or a plain `0`) and `0b`; underscores may
/// separate digits.
pub(crate) fn parse_uint(text: &str) -> Result<u64, ScalarError> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (&lower[..], 10),
    };
    // An underscore stands between two digits or behind a prefix, never first of all, last or doubled.
    if lower.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
        return Err(ScalarError::Syntax);
    }
    let digits: String = digits.chars().filter(|&c| c != '_').collect();
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(ScalarError::Syntax);
    }
    u64::from_str_radix(&digits, radix).map_err(|_| ScalarError::Range)
}

/// Reads a signed number; the digits are as for [`parse_uint`].
pub(crate) fn parse_int(text: &str) -> Result<i64, ScalarError> {
    match text.as_bytes().first() {
        Some(b'-') => 0_i64.checked_sub_unsigned(parse_uint(&text[1..])?).ok_or(ScalarError::Range),
        Some(b'+') => parse_int_unsigned(&text[1..]),
        _ => parse_int_unsigned(text),
    }
}

fn parse_int_unsigned(text: &str) -> Result<i64, ScalarError> {
    i64::try_from(parse_uint(text)?).map_err(|_| ScalarError::Range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        fn check(text: &str, expected: Result<i64, ScalarError>) {
            assert_eq!(parse_int(text), expected, "{text}");
        }
        let syntax = Err(ScalarError::Syntax);
        check("0", Ok(0));
        check("100", Ok(100));
        check("-100", Ok(-100));
        check("+7", Ok(7));
        check("0x10", Ok(16));
        check("0X1F", Ok(31));
        check("0b11", Ok(3));
        check("010", Ok(8));
        check("0o10", Ok(8));
        check("1_000", Ok(1000));
        check("-9223372036854775808", Ok(i64::MIN));
        check("9223372036854775808", Err(ScalarError::Range));
        check("", syntax);
        check("-", syntax);
        check("--1", syntax);
        check("08", syntax);
        check("0x", syntax);
        check("_1", syntax);
        check("1_", syntax);
        check("1__0", syntax);
        check("1.0", syntax);
        check("1 ", syntax);
        check("ä", syntax);
        assert_eq!(parse_uint("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse_uint("18446744073709551616"), Err(ScalarError::Range));
        assert_eq!(parse_uint("-1"), Err(ScalarError::Syntax));
        assert_eq!(parse_uint("+1"), Err(ScalarError::Syntax));
    }

    #[test]
    fn booleans() {
        for text in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(parse_bool(text), Ok(true));
        }
        for text in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(parse_bool(text), Ok(false));
        }
        for text in ["", "yes", "tRUE", "2"] {
            assert_eq!(parse_bool(text), Err(ScalarError::Syntax));
        }
    }
}
