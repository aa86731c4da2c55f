use std::sync::Arc;

use crate::config::Config;
use crate::health::Health;
use crate::metrics::Metrics;

/// What the pages share.
pub(crate) struct PageState {
    pub(crate) member: Arc<dyn Health>,
    pub(crate) metrics: Metrics,
    pub(crate) config: Config,
}

impl PageState {
    /// Reads from the member within the configured time; the error after it is `timed_out`.
    pub(crate) async fn read(&self, linearizable: bool, timed_out: &str) -> Result<(), String> {
        let read = self.member.read(linearizable);
        match tokio::time::timeout(self.config.read_timeout, read).await {
            Ok(result) => result,
            Err(_) => Err(timed_out.to_owned()),
        }
    }
}
