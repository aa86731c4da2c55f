//! The time in log lines.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Local time with microseconds and the offset: `2026-01-02T15:04:05.000000Z`, or `+0900` in place of the `Z`.
pub(super) fn format_time(time: Timestamp, zone: &TimeZone) -> String {
    let mut text = String::with_capacity("2026-01-02T15:04:05.000000+0900".len());
    Clock::new(zone.clone()).push(time, &mut text);
    text
}

/// Writes many times. The second that was written last is remembered, since most of what is written is the same.
#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    second: i64,
    /// Of that second: what comes before the microseconds, and behind them.
    parts: (String, String),
}

impl Clock {
    pub(super) fn new(zone: TimeZone) -> Self {
        // No clock shows it.
        Self { zone, second: i64::MIN, parts: Default::default() }
    }

    /// Appends the time to `text`.
    pub(super) fn push(&mut self, time: Timestamp, text: &mut String) {
        let second = time.as_second();
        if second != self.second {
            (self.second, self.parts) = (second, parts(time, &self.zone));
        }
        let (before, behind) = &self.parts;
        // Cannot fail.
        let _ = write!(text, "{before}{:06}{behind}", time.subsec_nanosecond().unsigned_abs() / 1000);
    }
}

fn parts(time: Timestamp, zone: &TimeZone) -> (String, String) {
    let offset = zone.to_offset(time);
    let local = offset.to_datetime(time);
    let before = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.",
        local.year(),
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second()
    );
    let seconds = offset.seconds();
    if seconds == 0 {
        return (before, "Z".to_owned());
    }
    let minutes = seconds.abs() / 60;
    let sign = if seconds < 0 { '-' } else { '+' };
    (before, format!("{sign}{:02}{:02}", minutes / 60, minutes % 60))
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
    fn a_clock_writes_what_one_time_alone_is() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut clock = Clock::new(zone.clone());
        for time in [
            "2026-03-29T00:59:59.999999Z",
            "2026-03-29T00:59:59.000001Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T00:59:59.5Z",
        ] {
            let time = time.parse().unwrap();
            let mut text = String::new();
            clock.push(time, &mut text);
            assert_eq!(text, format_time(time, &zone));
        }
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
