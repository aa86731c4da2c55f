//! Stages of a request as JSON.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How long each stage took, one behind the other.
pub(super) struct Stages {
    json: String,
    last: Instant,
}

impl Stages {
    pub(super) fn begin(start: Instant) -> Self {
        Self { json: "{".to_owned(), last: start }
    }

    /// The stage ended then. One whose end is not known is left out, and counts to the next.
    pub(super) fn add(&mut self, name: &str, end: impl Into<Option<Instant>>) {
        let Some(end) = end.into() else { return };
        // A quorum can be faster than this member's own disk.
        let took = end.saturating_duration_since(self.last);
        self.last = self.last.max(end);
        let separator = if self.json.len() > 1 { "," } else { "" };
        let _ = write!(self.json, "{separator}\"{name}\":\"{:?}\"", rounded(took));
    }

    pub(super) fn into_json(mut self) -> String {
        self.json.push('}');
        self.json
    }
}

/// To microseconds.
fn rounded(took: Duration) -> Duration {
    Duration::from_micros(u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_add_up() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut stages = Stages::begin(start);
        stages.add("queue", at(2));
        stages.add("propose", None);
        stages.add("sync", at(1500));
        stages.add("replicate", at(900));
        stages.add("apply", at(1500) + Duration::from_nanos(1999));
        let expected = r#"{"queue":"2ms","sync":"1.498s","replicate":"0ns","apply":"1µs"}"#;
        assert_eq!(stages.into_json(), expected);
    }
}
