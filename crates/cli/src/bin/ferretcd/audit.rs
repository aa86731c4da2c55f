//! The audit log of the program.

use std::sync::Arc;

use ferretcd_embed::AuditSink;
use ferretcd_logging::{AuditLog, OpenError, Output, Rotation};
use prometheus::IntCounter;

/// Where the audit log goes.
#[derive(Clone, Debug)]
pub(crate) struct AuditOptions {
    pub(crate) output: Output,
    pub(crate) rotation: Option<Rotation>,
}

/// The audit log, with the number of lines that it has lost.
pub(crate) struct Audit {
    log: AuditLog,
    pub(crate) dropped: IntCounter,
}

impl Audit {
    pub(crate) fn open(options: &AuditOptions) -> Result<Arc<Self>, OpenError> {
        let dropped =
            IntCounter::new("ferretcd_audit_dropped_total", "Lines of the audit log that were not written.")
                .expect("the name is one");
        let count = dropped.clone();
        let log = AuditLog::open(&options.output, options.rotation, move |lines| count.inc_by(lines))?;
        Ok(Arc::new(Self { log, dropped }))
    }

    /// Writes what waits, for two seconds at most.
    pub(crate) fn finish(&self) {
        if !self.log.finish() {
            tracing::warn!("ending without the last lines of the audit log, which were not written in time");
        }
    }
}

impl AuditSink for Audit {
    fn write(&self, members: &str) {
        self.log.write(members);
    }
}
