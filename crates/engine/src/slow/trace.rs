//! The line `trace` of etcd: the steps of a request.

use std::fmt::{Display, Write as _};
use std::time::{Duration, Instant, SystemTime};

use ferretcd_base::Utc;

/// Requests that took longer have the line. Etcd's own threshold, which no flag changes.
pub(super) const THRESHOLD: Duration = Duration::from_millis(100);

/// A request that took longer than [`THRESHOLD`].
pub(super) struct Trace {
    operation: &'static str,
    id: u64,
    detail: String,
    start: Instant,
    end: Instant,
    /// Steps and when they ended.
    steps: Vec<(&'static str, Instant)>,
}

impl Trace {
    pub(super) fn new(operation: &'static str, id: u64, start: Instant, end: Instant) -> Self {
        Self { operation, id, detail: "{".to_owned(), start, end, steps: Vec::new() }
    }

    pub(super) fn detail(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.detail, "{name}:{value}; ");
    }

    pub(super) fn step(&mut self, name: &'static str, end: Instant) {
        self.steps.push((name, end));
    }

    /// `stages` is JSON.
    pub(super) fn log(mut self, stages: &str) {
        self.detail.push('}');
        let (steps, took) = (self.long_steps(), self.end.saturating_duration_since(self.start));
        let (start, end) = calendar(self.start, took);
        // Etcd draws a number.
        let id = self.id & u64::from(u32::MAX >> 1);
        tracing::info!(
            trace_id = id,
            operation = self.operation,
            detail = self.detail,
            duration = ?took,
            start = %Utc(start),
            end = %Utc(end),
            "steps[]" = ?steps,
            step_count = steps.len(),
            "stages[]" = stages,
            "trace"
        );
    }

    /// The steps that took their share of the threshold, as etcd writes them.
    fn long_steps(&self) -> Vec<String> {
        let share = THRESHOLD / (self.steps.len() as u32 + 1);
        let mut last = self.start;
        let mut texts = Vec::new();
        for (name, end) in &self.steps {
            let took = end.saturating_duration_since(last);
            last = *end;
            if took > share {
                texts.push(format!("'{name}'  (duration: {took:?})"));
            }
        }
        texts
    }
}

/// When a request started and ended on the calendar, since 1970, so that only requests that are logged read the wall clock.
fn calendar(start: Instant, took: Duration) -> (Duration, Duration) {
    #[expect(clippy::disallowed_methods, reason = "a log line tells people the time of day")]
    let now = SystemTime::now();
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let start = now.saturating_sub(start.elapsed());
    (start, start.saturating_add(took))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_steps_are_left_out() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut trace = Trace::new("range", 1, start, at(130));
        trace.step("agreement", at(20));
        trace.step("read", at(120));
        assert_eq!(trace.long_steps(), ["'read'  (duration: 100ms)"]);
    }
}
