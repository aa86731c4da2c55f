//! Durations such as `1h30m`, `1.5ms` and `-2s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::ScalarError;

/// A span of time in nanoseconds, possibly negative: what Go calls a duration. Up to about 292 years.
///
/// Parses and prints Go's notation: a sign, then decimal numbers with a unit each (`ns`, `us` or `µs`, `ms`,
/// `s`, `m`, `h`); a plain `0` needs no unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub i64);

impl Nanos {
    /// The span as a [`Duration`]; negative ones become zero.
    pub fn at_least_zero(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for Nanos {
    /// Spans beyond 292 years are cut to that.
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Renders a duration as Go does: `1.5ms`, `2m0s`, `0s`. Below a second one unit with a fraction, from a second
/// on hours, minutes and seconds with the leading zero units left out.
pub fn format_duration(duration: Duration) -> String {
    Nanos::from(duration).to_string()
}

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let nanos = self.0.unsigned_abs();
        match nanos {
            0 => f.write_str("0s"),
            1..MICROSECOND => write!(f, "{nanos}ns"),
            MICROSECOND..MILLISECOND => write_decimal(f, nanos, MICROSECOND, "µs"),
            MILLISECOND..SECOND => write_decimal(f, nanos, MILLISECOND, "ms"),
            _ => {
                if nanos >= HOUR {
                    write!(f, "{}h", nanos / HOUR)?;
                }
                if nanos >= MINUTE {
                    write!(f, "{}m", nanos % HOUR / MINUTE)?;
                }
                write_decimal(f, nanos % MINUTE, SECOND, "s")
            }
        }
    }
}

/// `nanos / unit` as a decimal without trailing zeros. `unit` is a power of ten.
fn write_decimal(f: &mut fmt::Formatter<'_>, nanos: u64, unit: u64, name: &str) -> fmt::Result {
    write!(f, "{}", nanos / unit)?;
    let fraction = nanos % unit;
    if fraction != 0 {
        let width = unit.ilog10() as usize;
        let digits = format!("{fraction:0width$}");
        write!(f, ".{}", digits.trim_end_matches('0'))?;
    }
    f.write_str(name)
}

/// Why a text is not a duration. The texts are those of Go's library; flags only say `parse error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text has another form, or the span is too long.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number has no unit behind it.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// What is behind a number is no unit.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// What is behind the number.
        unit: String,
        /// The whole text.
        text: String,
    },
}

impl From<DurationError> for ScalarError {
    fn from(_: DurationError) -> Self {
        Self::Syntax
    }
}

impl FromStr for Nanos {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let invalid = || DurationError::Invalid(text.to_owned());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let (nanos, behind) = take_term(rest).map_err(|problem| match problem {
                TermError::Invalid => invalid(),
                TermError::MissingUnit => DurationError::MissingUnit(text.to_owned()),
                TermError::UnknownUnit(unit) => {
                    DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() }
                }
            })?;
            total += nanos;
            rest = behind;
            if total > i128::from(i64::MAX) {
                return Err(invalid());
            }
        }
        Ok(Self(if negative { -(total as i64) } else { total as i64 }))
    }
}

/// What is wrong with one number and its unit.
enum TermError<'a> {
    Invalid,
    MissingUnit,
    UnknownUnit(&'a str),
}

/// Reads one number with its unit; returns its nanoseconds and what is behind it.
fn take_term(text: &str) -> Result<(i128, &str), TermError<'_>> {
    let (whole, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(TermError::Invalid);
    }
    let (unit, rest) =
        rest.split_at(rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len()));
    let unit = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "" => return Err(TermError::MissingUnit),
        unit => return Err(TermError::UnknownUnit(unit)),
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| TermError::Invalid)? };
    // Digits finer than a nanosecond are dropped; 15 are enough for a fraction of an hour.
    let fraction = &fraction[..fraction.len().min(15)];
    let scale = 10_i128.pow(fraction.len() as u32);
    let fraction: i128 = if fraction.is_empty() { 0 } else { fraction.parse().expect("decimal digits") };
    Ok((i128::from(whole) * i128::from(unit) + fraction * i128::from(unit) / scale, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_print_as_in_go() {
        fn check(nanos: u64, expected: &str) {
            assert_eq!(format_duration(Duration::from_nanos(nanos)), expected);
        }
        check(0, "0s");
        check(1, "1ns");
        check(999, "999ns");
        check(1_000, "1µs");
        check(1_100, "1.1µs");
        check(1_500_000, "1.5ms");
        check(100_000_000, "100ms");
        check(999_999_999, "999.999999ms");
        check(1_000_000_000, "1s");
        check(1_000_000_001, "1.000000001s");
        check(2 * MINUTE, "2m0s");
        check(90 * SECOND, "1m30s");
        check(HOUR, "1h0m0s");
        check(2 * HOUR + 500 * MILLISECOND, "2h0m0.5s");
        check(72 * HOUR + 3 * MINUTE + 1, "72h3m0.000000001s");
        assert_eq!(Nanos(-1_500_000).to_string(), "-1.5ms");
        assert_eq!(Nanos(i64::MIN).to_string(), "-2562047h47m16.854775808s");
    }

    #[test]
    fn durations_parse_as_in_go() {
        fn check(text: &str, expected: Result<i64, &str>) {
            let parsed = text.parse::<Nanos>().map(|nanos| nanos.0).map_err(|error| error.to_string());
            assert_eq!(parsed, expected.map_err(|error| format!("time: {error}")), "{text}");
        }
        check("0", Ok(0));
        check("-0", Ok(0));
        check("5m", Ok(300 * SECOND as i64));
        check("100ms", Ok(100 * MILLISECOND as i64));
        check("1h30m", Ok(90 * MINUTE as i64));
        check("1.5h", Ok(90 * MINUTE as i64));
        check(".5s", Ok(500 * MILLISECOND as i64));
        check("1.s", Ok(SECOND as i64));
        check("+2us", Ok(2_000));
        check("2µs", Ok(2_000));
        check("-1s", Ok(-(SECOND as i64)));
        check("0.0000000001s", Ok(0));
        check("", Err("invalid duration \"\""));
        check("-", Err("invalid duration \"-\""));
        check("5", Err("missing unit in duration \"5\""));
        check("-5", Err("missing unit in duration \"-5\""));
        check("s", Err("invalid duration \"s\""));
        check(".s", Err("invalid duration \".s\""));
        check("5d", Err("unknown unit \"d\" in duration \"5d\""));
        check("5 s", Err("unknown unit \" s\" in duration \"5 s\""));
        check("1h-5m", Err("unknown unit \"h-\" in duration \"1h-5m\""));
        check("3000000h", Err("invalid duration \"3000000h\""));
        check("99999999999999999999h", Err("invalid duration \"99999999999999999999h\""));
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(nanos in -i64::MAX..=i64::MAX) {
            prop_assert_eq!(Nanos(nanos).to_string().parse(), Ok(Nanos(nanos)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[-+.0-9nuµmshx]{0,24}") {
            let _ = text.parse::<Nanos>();
        }
    }
}
