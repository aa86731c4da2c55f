//! The time in log lines.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Local time with microseconds and the offset: `2026-01-02T15:04:05.000000Z`, or `+0900` in place of the `Z`.
pub(super) fn format_time(time: Timestamp, zone: &TimeZone) -> String {
    let offset = zone.to_offset(time);
    let local = offset.to_datetime(time);
    let seconds = offset.seconds();
    let mut text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}",
        local.year(),
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second(),
        local.subsec_nanosecond() / 1000
    );
    if seconds == 0 {
        text.push('Z');
    } else {
        let minutes = seconds.abs() / 60;
        let sign = if seconds < 0 { '-' } else { '+' };
        text.push_str(&format!("{sign}{:02}{:02}", minutes / 60, minutes % 60));
    }
    text
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;

    use super::*;

    #[test]
    fn the_offset_is_a_letter_for_utc() {
        fn check(offset_seconds: i32, expected: &str) {
            let time: Timestamp = "2026-01-02T15:04:05.0000129Z".parse().unwrap();
            let zone = TimeZone::fixed(Offset::from_seconds(offset_seconds).unwrap());
            assert_eq!(format_time(time, &zone), expected);
        }
        check(0, "2026-01-02T15:04:05.000012Z");
        check(9 * 3600, "2026-01-03T00:04:05.000012+0900");
        check(-(3 * 3600 + 1800), "2026-01-02T11:34:05.000012-0330");
    }

    #[test]
    fn zones_have_summer_time() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let winter = format_time("2026-01-02T15:04:05Z".parse().unwrap(), &zone);
        let summer = format_time("2026-07-02T15:04:05Z".parse().unwrap(), &zone);
        assert_eq!(winter, "2026-01-02T16:04:05.000000+0100");
        assert_eq!(summer, "2026-07-02T17:04:05.000000+0200");
    }
}
