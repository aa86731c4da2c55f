use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use tracing::Level;

use crate::body::Observe;
use crate::framing::PREFIX;

/// A running unary call; writes its line when dropped, if the log has that level.
#[derive(Debug)]
pub struct RequestStats {
    path: &'static str,
    remote: Option<SocketAddr>,
    limit: Duration,
    start: Instant,
    /// From the start to the service's response; `None` until then.
    spent: Option<Duration>,
    request_size: RequestSize,
    /// Sum of the messages sent so far.
    response_size: u64,
}

#[derive(Debug)]
enum RequestSize {
    Unknown,
    Announced(u64),
    Counted(Arc<AtomicU64>),
}

impl RequestStats {
    pub(crate) fn start(path: &'static str, remote: Option<SocketAddr>, limit: Duration) -> RequestStats {
        RequestStats {
            path,
            remote,
            limit,
            start: Instant::now(),
            spent: None,
            request_size: RequestSize::Unknown,
            response_size: 0,
        }
    }

    /// Takes the request's size from what `seen` counts.
    pub(crate) fn count_request(mut self, seen: &Seen) -> RequestStats {
        self.request_size = RequestSize::Counted(seen.0.clone());
        self
    }

    /// Takes the request's size from the length of its body, if that is known before it is read.
    pub(crate) fn announced_request(mut self, body_len: Option<u64>) -> RequestStats {
        if let Some(len) = body_len {
            self.request_size = RequestSize::Announced(len.saturating_sub(PREFIX as u64));
        }
        self
    }

    /// Stops the clock; returns the call only if there will be a line to write.
    pub(crate) fn responded(mut self) -> Option<Box<RequestStats>> {
        let spent = self.start.elapsed();
        self.spent = Some(spent);
        (self.is_slow(spent) || tracing::enabled!(Level::DEBUG)).then(|| Box::new(self))
    }

    fn is_slow(&self, spent: Duration) -> bool {
        spent > self.limit
    }

    fn write(&self, spent: Duration) {
        // In etcd these count keys, which only decoded messages show; -1 is its word for unknown.
        macro_rules! request_stats {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    {
                        "start time" = %Utc(started(self.start)),
                        "time spent" = ?spent,
                        remote = %Remote(self.remote),
                        "response type" = self.path,
                        "request count" = -1,
                        "request size" = self.request_size.get(),
                        "response count" = -1,
                        "response size" = self.response_size,
                        "request content" = ""
                    },
                    "request stats"
                )
            };
        }
        if self.is_slow(spent) {
            request_stats!(Level::WARN);
        } else {
            request_stats!(Level::DEBUG);
        }
    }
}

impl RequestSize {
    fn get(&self) -> i64 {
        match self {
            RequestSize::Unknown => -1,
            RequestSize::Announced(size) => *size as i64,
            RequestSize::Counted(size) => size.load(Ordering::Relaxed) as i64,
        }
    }
}

impl Drop for RequestStats {
    fn drop(&mut self) {
        let spent = self.spent.unwrap_or_else(|| self.start.elapsed());
        if self.is_slow(spent) || tracing::enabled!(Level::DEBUG) {
            self.write(spent);
        }
    }
}

/// Watches the response on its way out.
impl Observe for Box<RequestStats> {
    fn message(&mut self, len: u64) {
        self.response_size += len;
    }

    fn end(self, _trailers: Option<&HeaderMap>) {}
}

/// Adds up the messages of a request while the service reads them.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<AtomicU64>);

impl Observe for Seen {
    fn message(&mut self, len: u64) {
        self.0.fetch_add(len, Ordering::Relaxed);
    }

    fn end(self, _trailers: Option<&HeaderMap>) {}
}

struct Remote(Option<SocketAddr>);

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("@"),
        }
    }
}

/// When `start` was on the calendar, so that only calls that are logged read the wall clock.
fn started(start: Instant) -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "a log line tells people the time of day")]
    let now = SystemTime::now();
    now.checked_sub(start.elapsed()).unwrap_or(now)
}

/// A time as `2006-01-02T15:04:05.000000Z`.
struct Utc(SystemTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_epoch = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since_epoch.as_secs() / 86_400, since_epoch.as_secs() % 86_400);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let micros = since_epoch.subsec_micros();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day ends a year; an era is the calendar's period of 400
/// years.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    const DAYS_BEFORE_EPOCH: u64 = 719_468; // from 0000-03-01
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days + DAYS_BEFORE_EPOCH;
    let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // from March
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar() {
        fn check(seconds: u64, micros: u32, expected: &str) {
            let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, micros * 1000);
            assert_eq!(Utc(time).to_string(), expected);
        }
        check(0, 0, "1970-01-01T00:00:00.000000Z");
        check(951_782_399, 999_999, "2000-02-28T23:59:59.999999Z");
        check(951_782_400, 0, "2000-02-29T00:00:00.000000Z");
        check(951_868_800, 1, "2000-03-01T00:00:00.000001Z");
        check(1_767_225_599, 0, "2025-12-31T23:59:59.000000Z");
        check(4_107_542_400, 0, "2100-03-01T00:00:00.000000Z");
    }
}
