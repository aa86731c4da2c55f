//! The raft library's log lines, routed into `tracing` under the name `raft`.
//!
//! A line begins with the member's id, as etcd's do. The library logs once per dropped request and per message
//! of an old term, so each place in its source is limited to a burst of lines per second.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ferretcd_base::MemberId;
use slog::{Drain, KV as _, Key, Level, Logger, Never, OwnedKVList, Record, Serializer};

/// The key under which the library puts the member's id.
const MEMBER_KEY: &str = "raft_id";

const WINDOW: Duration = Duration::from_secs(1);
const LINES_PER_WINDOW: u32 = 10;

pub(crate) fn to_tracing() -> Logger {
    Logger::root(ToTracing::default(), slog::o!())
}

#[derive(Default)]
struct ToTracing {
    /// Held while one line is counted. The standard library's, because slog wants a drain that is safe to use
    /// after a panic.
    limits: Mutex<HashMap<(&'static str, u32), Limit>>,
}

impl Drain for ToTracing {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        // slog's macros do not check this.
        if !self.is_enabled(record.level()) {
            return Ok(());
        }
        let place = (record.file(), record.line());
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(n_suppressed) = limits.entry(place).or_default().admit(Instant::now()) else {
            return Ok(());
        };
        drop(limits);
        let line = line(record, values, n_suppressed);
        match record.level() {
            Level::Critical | Level::Error => tracing::error!(target: "raft", "{line}"),
            Level::Warning => tracing::warn!(target: "raft", "{line}"),
            Level::Info => tracing::info!(target: "raft", "{line}"),
            Level::Debug => tracing::debug!(target: "raft", "{line}"),
            Level::Trace => tracing::trace!(target: "raft", "{line}"),
        }
        Ok(())
    }

    fn is_enabled(&self, level: Level) -> bool {
        match level {
            Level::Critical | Level::Error => tracing::enabled!(target: "raft", tracing::Level::ERROR),
            Level::Warning => tracing::enabled!(target: "raft", tracing::Level::WARN),
            Level::Info => tracing::enabled!(target: "raft", tracing::Level::INFO),
            Level::Debug => tracing::enabled!(target: "raft", tracing::Level::DEBUG),
            Level::Trace => tracing::enabled!(target: "raft", tracing::Level::TRACE),
        }
    }
}

/// How many lines one place has logged in the current window.
#[derive(Default)]
struct Limit {
    window_start: Option<Instant>,
    n_lines: u32,
}

impl Limit {
    /// Counts a line at `now`. Returns how many were suppressed since the last one that was let through, or
    /// `None` to suppress this one too.
    fn admit(&mut self, now: Instant) -> Option<u32> {
        if self.window_start.is_some_and(|start| now.duration_since(start) < WINDOW) {
            self.n_lines += 1;
            return (self.n_lines <= LINES_PER_WINDOW).then_some(0);
        }
        let n_suppressed = self.n_lines.saturating_sub(LINES_PER_WINDOW);
        *self = Self { window_start: Some(now), n_lines: 1 };
        Some(n_suppressed)
    }
}

fn line(record: &Record<'_>, values: &OwnedKVList, n_suppressed: u32) -> String {
    let mut line = Line { member: None, text: record.msg().to_string(), values: String::new() };
    // Writing to a string does not fail, and a log line is no place to report if it did.
    let _ = values.serialize(record, &mut line);
    let _ = record.kv().serialize(record, &mut line);
    if n_suppressed > 0 {
        let _ = write!(line.values, " ({n_suppressed} similar lines suppressed)");
    }
    let text = with_ids_in_hex(&(line.text + &line.values));
    match line.member {
        Some(member) => format!("{member} {text}"),
        None => text,
    }
}

/// The library writes all numbers in decimal. Only member ids exceed 32 bits; elsewhere they are hexadecimal.
fn with_ids_in_hex(text: &str) -> String {
    let mut converted = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let number = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        match number.parse::<u64>() {
            Ok(id) if id > u64::from(u32::MAX) => {
                let _ = write!(converted, "{}{}", MemberId(id), &word[number.len()..]);
            }
            _ => converted.push_str(word),
        }
    }
    converted
}

struct Line {
    member: Option<MemberId>,
    text: String,
    values: String,
}

impl Serializer for Line {
    fn emit_u64(&mut self, key: Key, value: u64) -> slog::Result {
        if key == MEMBER_KEY {
            self.member = Some(MemberId(value));
            return Ok(());
        }
        self.emit_arguments(key, &format_args!("{value}"))
    }

    /// Values that are named in the text come here too; once is enough.
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        let value = value.to_string();
        let is_in_text = self.text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == value);
        if !is_in_text {
            write!(self.values, ", {key}: {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_limited_per_second_and_reports_suppressed_lines() {
        let mut limit = Limit::default();
        let start = Instant::now();
        let admitted = (0..100).filter(|_| limit.admit(start).is_some()).count();
        assert_eq!(admitted, LINES_PER_WINDOW as usize);
        assert_eq!(limit.admit(start + WINDOW), Some(90));
        assert_eq!(limit.admit(start + WINDOW), Some(0));
    }

    #[test]
    fn a_line_begins_with_the_member_and_ends_with_the_values() {
        struct Check;
        impl Drain for Check {
            type Ok = ();
            type Err = Never;
            fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
                assert_eq!(
                    line(record, values, 3),
                    "1f asked 8211f1d0f64f3269 at term 2, peers: [1, 8211f1d0f64f3269] (3 similar lines suppressed)"
                );
                Ok(())
            }
        }
        let logger = Logger::root(Check, slog::o!(MEMBER_KEY => 0x1f_u64));
        let peer = 0x8211_f1d0_f64f_3269_u64;
        slog::info!(logger, "asked {to} at term {term}", to = peer, term = 2; "peers" => ?[1, peer]);
    }
}
