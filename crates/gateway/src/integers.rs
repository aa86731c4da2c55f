//! Integers in JSON, where `1.0` and `10e-1` are one.

/// The digits of a JSON number that is an integer, without an exponent. `None` for all other numbers, and for those of
/// more digits than any 64-bit integer has.
pub(crate) fn digits(number: &str) -> Option<String> {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if whole.is_empty() && fraction.is_empty() {
        return Some("0".to_owned());
    }
    let exponent: i32 = exponent.parse().ok()?;
    let n_digits = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    if !(0..=DIGITS_MAX).contains(&n_digits) {
        return None;
    }
    let n_digits = usize::try_from(n_digits).ok()?;
    let all = format!("{whole}{fraction}");
    let (integer, rest) = all.split_at(n_digits.min(all.len()));
    if rest.bytes().any(|digit| digit != b'0') {
        return None;
    }
    Some(format!("{sign}{integer}{}", "0".repeat(n_digits - integer.len())))
}

/// Digits of the greatest unsigned 64-bit integer.
const DIGITS_MAX: i64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_in_any_form() {
        for (number, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.00", "0"),
            ("0e99999", "0"),
            ("7", "7"),
            ("-7", "-7"),
            ("1.0", "1"),
            ("1.50e1", "15"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("1200e-2", "12"),
            ("18446744073709551615", "18446744073709551615"),
            ("1e19", "10000000000000000000"),
        ] {
            assert_eq!(digits(number).as_deref(), Some(expected), "{number}");
        }
    }

    #[test]
    fn what_is_no_integer() {
        for number in
            ["1.5", "15e-1", "1e-1", "0.1", "1e20", "1e999999999999", "1e-99999", "123456789012345678901"]
        {
            assert_eq!(digits(number), None, "{number}");
        }
    }
}
