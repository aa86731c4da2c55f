//! What a member does without being asked: give up on answers that do not come, drop old history, raise the
//! alarm. What it does about the other members is in [`cluster`](crate::cluster).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, alarm_request::AlarmAction,
};
use ferretcd_apply::ApplyError;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::compactor::Compactor;
use crate::watch::LeaderCheck;
use crate::{Engine, RequestError};

/// How often overdue requests are looked for, and how long a read index is waited for.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

impl Engine {
    /// Starts the tasks. They end when the member stops.
    pub(crate) fn start_tasks(&self, runtime: &tokio::runtime::Handle) {
        let tasks = [
            runtime.spawn(self.clone().submit()),
            runtime.spawn(self.clone().sweep()),
            runtime.spawn(self.clone().expire_leases()),
            runtime.spawn(self.clone().watch_version()),
            runtime.spawn(self.clone().promote_joining()),
            runtime.spawn(self.clone().watch_quota()),
            runtime.spawn(self.clone().auto_compact()),
            runtime.spawn(self.clone().check_periodically()),
            runtime.spawn(self.clone().check_compactions()),
            runtime.spawn(self.clone().refetch_corrupt_data()),
            runtime.spawn(self.clone().watch_leader()),
        ];
        self.0.tasks.lock().extend(tasks);
    }

    async fn submit(self) {
        let inner = &*self.0;
        let refused = |id, error| {
            if let Some(proposal) = inner.waiters.take(id) {
                inner.metrics.proposals_failed.inc();
                let _ = proposal.send(Err(error));
            }
        };
        inner.submissions.run(&inner.node, &inner.read_rounds, &inner.waiters, refused).await;
    }

    async fn sweep(self) {
        let mut ticks = interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.sweep_once(Instant::now());
        }
    }

    fn sweep_once(&self, now: Instant) {
        let inner = &*self.0;
        let timeout = self.request_timeout();
        if let Some(token) = inner.read_rounds.retry(now, SWEEP_INTERVAL) {
            inner.metrics.slow_reads.inc();
            // A refusal is made up for at the next sweep.
            let _ = inner.node.read_index(token);
        }
        // For reads behind a round that all others have given up.
        inner.submissions.wake();
        for read in inner.read_rounds.take_overdue(now, timeout) {
            inner.metrics.failed_reads.inc();
            let _ = read.send(Err(RequestError::Timeout));
        }
        let leader_lost = *inner.shared.leader_lost.lock();
        let was_lost = leader_lost.is_some_and(|at| now.saturating_duration_since(at) < 2 * timeout);
        for proposal in inner.waiters.take_overdue(now, timeout) {
            inner.metrics.proposals_failed.inc();
            let error = match was_lost {
                _ if self.status().leader.is_none() => RequestError::TimeoutNoLeader,
                true => RequestError::TimeoutLeaderLost,
                false => RequestError::Timeout,
            };
            let _ = proposal.send(Err(error));
        }
    }

    /// Raises this member's NOSPACE alarm when something did not fit, unless it is active, and then answers those
    /// who had no room.
    async fn watch_quota(self) {
        let shared = &self.0.shared;
        loop {
            shared.quota_exceeded.next().await;
            if !shared.has_own_nospace() {
                self.raise_nospace().await;
            }
            shared.quota_exceeded.answer_all();
        }
    }

    async fn raise_nospace(&self) {
        tracing::warn!(
            "quota-size-bytes" = self.quota_bytes(),
            "message exceeded backend quota; raising alarm"
        );
        let request = AlarmRequest {
            action: AlarmAction::Activate as i32,
            member_id: self.member_id().0,
            alarm: AlarmType::Nospace as i32,
        };
        if let Err(error) = self.alarm(request).await {
            tracing::warn!(%error, "failed to raise the NOSPACE alarm");
        }
    }

    /// Ends watch streams that require a leader when there has been none for a while.
    async fn watch_leader(self) {
        let mut check = LeaderCheck::default();
        loop {
            sleep(self.config().election).await;
            if check.is_lost(self.status().leader.is_some()) {
                self.0.watching.leader_lost();
            }
        }
    }

    async fn auto_compact(self) {
        let mut compactor = Compactor::new(self.config().auto_compaction);
        let Some(period) = compactor.interval() else { return };
        loop {
            sleep(period).await;
            let Some(revision) = compactor.tick(Instant::now(), self.reader().revision()) else { continue };
            if !self.is_leader() {
                continue;
            }
            match self.compact(CompactionRequest { revision, physical: false }).await {
                Ok(_) | Err(RequestError::Apply(ApplyError::Compacted { .. })) => {
                    tracing::info!(revision, "completed auto compaction");
                    compactor.compacted(Instant::now(), revision);
                }
                Err(error) => tracing::warn!(revision, %error, "failed auto compaction"),
            }
        }
    }

    /// Refuses new requests, lets those under way finish as far as they can, writes everything down and ends
    /// the member's threads. When the last handle is gone as well, the data can be opened again. Later calls
    /// return at once.
    pub async fn stop(&self) {
        self.0.shared.is_stopping.store(true, Ordering::Release);
        self.0.lessor.wake();
        let Some(threads) = self.0.threads.lock().take() else { return };
        let engine = self.clone();
        // Not on the runtime's blocking threads: those may all be busy with reads.
        let (done, stopped) = oneshot::channel();
        std::thread::spawn(move || {
            threads.join();
            for proposal in engine.0.waiters.take_all() {
                let _ = proposal.send(Err(RequestError::Stopped));
            }
            for read in engine.0.read_rounds.take_all() {
                let _ = read.send(Err(RequestError::Stopped));
            }
            drop(engine);
            let _ = done.send(());
        });
        if stopped.await.is_err() {
            tracing::error!("a thread of the member did not end in order");
        }
        let tasks = std::mem::take(&mut *self.0.tasks.lock());
        for task in tasks {
            task.abort();
            // Cancelled, that is; its hold on the member is gone then.
            let _ = task.await;
        }
    }
}
