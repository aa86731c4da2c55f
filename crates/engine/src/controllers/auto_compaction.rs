//! Compactions that the leader requests by itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb::CompactionRequest;
use ferretcd_apply::ApplyError;
use tokio::time::sleep;

use crate::{AutoCompaction, Caller, Kv, MemberInfo, RequestError};

/// The longest time between two compactions by age.
const PERIOD_MAX: Duration = Duration::from_secs(3600);
/// How often the revision is noted in one period.
const SAMPLES_PER_PERIOD: u32 = 10;
/// However short the retention, looking costs something.
const SAMPLE_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Time between two compactions by revision.
const REVISION_PERIOD: Duration = Duration::from_secs(300);

/// The controller.
pub(super) async fn run(kv: Kv, member: MemberInfo) {
    let mut compactor = Compactor::new(member.config().auto_compaction);
    let Some(period) = compactor.interval() else { return };
    loop {
        sleep(period).await;
        let Some(revision) = compactor.tick(Instant::now(), member.revision()) else { continue };
        if !member.is_leader() {
            continue;
        }
        match kv.compact(&Caller::MEMBER, CompactionRequest { revision, physical: false }).await {
            Ok(_) | Err(RequestError::Apply(ApplyError::Compacted { .. })) => {
                tracing::info!(revision, "completed auto compaction");
                compactor.compacted(Instant::now(), revision);
            }
            Err(error) => tracing::warn!(revision, %error, "failed auto compaction"),
        }
    }
}

/// Decides when to compact and to which revision, by age or by number of revisions. Time comes in as an argument.
#[derive(Debug)]
struct Compactor {
    mode: AutoCompaction,
    /// When which revision was the newest, oldest first.
    samples: VecDeque<(Instant, i64)>,
    next: Option<Instant>,
    last: i64,
}

impl Compactor {
    fn new(mode: AutoCompaction) -> Self {
        Self { mode, samples: VecDeque::new(), next: None, last: 0 }
    }

    /// How often [`Self::tick`] wants to be called; `None` for never.
    fn interval(&self) -> Option<Duration> {
        match self.mode {
            AutoCompaction::Off => None,
            AutoCompaction::Periodic(retention) => {
                Some((retention.min(PERIOD_MAX) / SAMPLES_PER_PERIOD).max(SAMPLE_PAUSE_MIN))
            }
            AutoCompaction::Revision(_) => Some(REVISION_PERIOD),
        }
    }

    /// The revision to compact to now, if it is time and there is anything new to drop.
    fn tick(&mut self, now: Instant, revision: i64) -> Option<i64> {
        let target = match self.mode {
            AutoCompaction::Off => None,
            AutoCompaction::Revision(retention) => Some(revision - retention),
            AutoCompaction::Periodic(retention) => self.aged(now, revision, retention),
        };
        target.filter(|target| *target > self.last && *target > 1)
    }

    /// A compaction to `revision` was accepted, or was not needed any more. One that failed is not reported, so the
    /// next tick returns it again.
    fn compacted(&mut self, now: Instant, revision: i64) {
        self.last = revision;
        if let AutoCompaction::Periodic(retention) = self.mode {
            self.next = Some(now + retention.min(PERIOD_MAX));
        }
    }

    /// The newest revision that is at least as old as the retention.
    fn aged(&mut self, now: Instant, revision: i64, retention: Duration) -> Option<i64> {
        self.samples.push_back((now, revision));
        let is_old = |at: Instant| now.saturating_duration_since(at) >= retention;
        while self.samples.get(1).is_some_and(|(at, _)| is_old(*at)) {
            self.samples.pop_front();
        }
        let (at, oldest) = *self.samples.front()?;
        let is_due = self.next.is_none_or(|next| now >= next);
        (is_due && is_old(at)).then_some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Ticks a store that gets one revision per minute; returns (minute, target) of each compaction.
    fn compactions(mode: AutoCompaction, minutes: u64) -> Vec<(u64, i64)> {
        let mut compactor = Compactor::new(mode);
        let start = Instant::now();
        let interval = compactor.interval().expect("not off").as_secs() / 60;
        let mut done = Vec::new();
        for minute in (0..=minutes).step_by(interval as usize) {
            let now = start + Duration::from_secs(minute * 60);
            if let Some(target) = compactor.tick(now, 100 + minute as i64) {
                compactor.compacted(now, target);
                done.push((minute, target));
            }
        }
        done
    }

    #[test]
    fn history_of_the_retention_time_is_kept() {
        assert_eq!(compactions(AutoCompaction::Periodic(HOUR), 130), [(60, 100), (120, 160)]);
        assert_eq!(compactions(AutoCompaction::Periodic(2 * HOUR), 190), [(120, 100), (180, 160)]);
    }

    #[test]
    fn retained_number_of_revisions_is_kept() {
        assert_eq!(compactions(AutoCompaction::Revision(100), 11), [(5, 5), (10, 10)]);
    }

    #[test]
    fn failed_compaction_is_tried_again() {
        let mut compactor = Compactor::new(AutoCompaction::Revision(10));
        let now = Instant::now();
        assert_eq!(compactor.tick(now, 50), Some(40));
        assert_eq!(compactor.tick(now, 50), Some(40));
        compactor.compacted(now, 40);
        assert_eq!(compactor.tick(now, 50), None, "nothing new");
    }
}
