//! How long a round trip to another member takes, and how its clock differs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::warn;

use crate::client::request;
use crate::link::{Link, LinkError};

/// How much less than the silence that ends a stream the time between two probes is.
const MARGIN: Duration = Duration::from_secs(1);
/// Clocks that differ by more make the logs of members hard to compare.
const DRIFT_MAX: Duration = Duration::from_secs(1);

/// What is answered to a probe.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Health {
    #[serde(rename = "OK")]
    ok: bool,
    #[serde(rename = "Now")]
    now: String,
}

impl Health {
    pub(crate) fn now() -> Self {
        Self { ok: true, now: Timestamp::now().to_string() }
    }
}

/// Probes a member for as long as the task lives.
pub(crate) async fn run(link: Arc<Link>) {
    let silence = link.local.config.silence;
    let period = silence.saturating_sub(MARGIN).max(silence / 2);
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        match probe(&link).await {
            Ok(health) => {
                let took = begun.elapsed();
                link.counters.round_trip.observe(took.as_secs_f64());
                judge_clock(&link, &health, took);
            }
            Err(error) => warn!(
                "round-tripper-name" = "ROUND_TRIPPER_RAFT_MESSAGE",
                "remote-peer-id" = %link.id,
                error = %error,
                "prober detected unhealthy status"
            ),
        }
    }
}

async fn probe(link: &Link) -> Result<Health, LinkError> {
    let (local, url) = (&link.local, link.url()?);
    let request = request(&url, Method::GET, "/raft/probing", &local.identity, Bytes::new());
    let reply = local.calls.call(request, local.config.call_timeout).await?;
    let health = serde_json::from_slice(&reply.body).ok().filter(|health: &Health| health.ok);
    health.filter(|_| reply.status == StatusCode::OK).ok_or(LinkError::Status(reply.status))
}

fn judge_clock(link: &Link, health: &Health, took: Duration) {
    let Ok(theirs) = health.now.parse::<Timestamp>() else { return };
    let drift = Timestamp::now().duration_since(theirs).unsigned_abs().saturating_sub(took / 2);
    if drift > DRIFT_MAX {
        warn!(
            "round-tripper-name" = "ROUND_TRIPPER_RAFT_MESSAGE",
            "remote-peer-id" = %link.id,
            "clock-drift" = ?drift,
            rtt = ?took,
            "prober found high clock drift"
        );
    }
}
