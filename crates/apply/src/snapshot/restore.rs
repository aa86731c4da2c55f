//! Installation of another state.

use ferretcd_auth::AuthStore;
use ferretcd_backend::Backend;
use ferretcd_membership::Membership;

use crate::alarm::Alarms;
use crate::{Applied, OpenError, StateMachine};

impl StateMachine {
    /// Goes on with the state that `backend` shows now, usually after [`Backend::replace`]. Readers of the key
    /// space and of leases stay valid and show the new state; copies of other parts, such as the members,
    /// have to be taken again. Reads all rows as [`StateMachine::open`] does.
    ///
    /// A view of the key space that was taken before keeps the old state, wholly; no read sees some of both. An
    /// interrupted compaction goes on with [`StateMachine::scrub`]. Batches of the time before belong to the
    /// state before: they must not be committed any more.
    ///
    /// # Errors
    ///
    /// When rows are unreadable, and when the state is older than what was applied here. Everything is as it was
    /// then, but if the backend is not that of before, the member has to stop.
    pub fn restore(&mut self, backend: &Backend) -> Result<(), OpenError> {
        // Of one file, whatever happens to the handle meanwhile.
        let backend = backend.pinned();
        let applied = Applied::read(&backend.view())?;
        if applied.position.index < self.applied.position.index {
            return Err(OpenError::Older {
                index: applied.position.index,
                applied: self.applied.position.index,
            });
        }
        let membership = Membership::open(&backend)?;
        let alarms = Alarms::open(&backend)?;
        let mut leases = self.leases.reopen(&backend)?;
        let auth = AuthStore::open(&backend)?;
        // Before the data: what readers see of the new ones they see by the new rights.
        self.auth.restore(auth);
        // The last thing that can fail, and readers see it at once. If it does, the member stops.
        self.store.restore_with(&backend, |key, lease| leases.attach([(key, lease)]))?;
        self.leases.restore(leases);
        self.membership = membership;
        self.alarms = alarms;
        self.applied = applied;
        Ok(())
    }
}
