//! Whether a peer is active.

use std::time::Instant;

use ferretcd_base::MemberId;
use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge};
use tracing::{debug, info, warn};

/// The last outcome of the connections to a peer.
#[derive(Debug)]
pub(crate) struct PeerStatus {
    id: MemberId,
    /// Since when there was no failure; set by each connection.
    since: Mutex<Option<Instant>>,
    active: IntGauge,
    disconnected: IntCounter,
}

impl PeerStatus {
    pub(crate) fn new(id: MemberId, active: IntGauge, disconnected: IntCounter) -> Self {
        Self { id, since: Mutex::default(), active, disconnected }
    }

    pub(crate) fn since(&self) -> Option<Instant> {
        *self.since.lock()
    }

    pub(crate) fn activate(&self) {
        let mut since = self.since.lock();
        if since.is_none() {
            *since = Some(Instant::now());
            self.active.inc();
            info!("peer-id" = %self.id, "peer became active");
        }
    }

    /// Records a failure: of `action` on `connection`, because of `error`.
    pub(crate) fn deactivate(&self, action: &str, connection: &str, error: &str) {
        let error = format!("failed to {action} {} on {connection} ({error})", self.id);
        if self.end() {
            self.disconnected.inc();
            warn!("peer-id" = %self.id, error, "peer became inactive (message send to peer failed)");
        } else {
            debug!("peer-id" = %self.id, error, "peer deactivated again");
        }
    }

    fn end(&self) -> bool {
        let was_active = self.since.lock().take().is_some();
        if was_active {
            self.active.dec();
        }
        was_active
    }
}

/// A peer that is dropped does not count as active.
impl Drop for PeerStatus {
    fn drop(&mut self) {
        self.end();
    }
}
