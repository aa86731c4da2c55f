//! Measures the round trip to a peer and the difference of its clock.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::warn;

use crate::client::request;
use crate::peer::{ExchangeError, Peer};

/// Probes are this much closer together than the silence that ends a stream.
const MARGIN: Duration = Duration::from_secs(1);
/// A larger difference makes the logs of members hard to compare.
const DRIFT_MAX: Duration = Duration::from_secs(1);

/// The response to a probe.
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

/// Probes a peer until the task is aborted.
pub(crate) async fn run(peer: Arc<Peer>) {
    let silence = peer.local.config.silence;
    let period = silence.saturating_sub(MARGIN).max(silence / 2);
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let begun = Instant::now();
        match probe(&peer).await {
            Ok(health) => {
                let took = begun.elapsed();
                peer.counters.round_trip.observe(took.as_secs_f64());
                check_clock(&peer, &health, took);
            }
            Err(error) => warn!(
                "round-tripper-name" = "ROUND_TRIPPER_RAFT_MESSAGE",
                "remote-peer-id" = %peer.id,
                error = %error,
                "prober detected unhealthy status"
            ),
        }
    }
}

async fn probe(peer: &Peer) -> Result<Health, ExchangeError> {
    let (local, url) = (&peer.local, peer.url()?);
    let request = request(&url, Method::GET, "/raft/probing", &local.identity, Full::default());
    let response = local.rpcs.call(request, local.config.call_timeout).await?;
    let health = serde_json::from_slice(&response.body).ok().filter(|health: &Health| health.ok);
    health.filter(|_| response.status == StatusCode::OK).ok_or(ExchangeError::Status(response.status))
}

fn check_clock(peer: &Peer, health: &Health, took: Duration) {
    let Ok(theirs) = health.now.parse::<Timestamp>() else { return };
    let drift = Timestamp::now().duration_since(theirs).unsigned_abs().saturating_sub(took / 2);
    if drift > DRIFT_MAX {
        warn!(
            "round-tripper-name" = "ROUND_TRIPPER_RAFT_MESSAGE",
            "remote-peer-id" = %peer.id,
            "clock-drift" = ?drift,
            rtt = ?took,
            "prober found high clock drift"
        );
    }
}
