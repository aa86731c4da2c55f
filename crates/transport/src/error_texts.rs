//! Texts by which members recognize errors of their peers. They are etcd's.

pub(crate) const SENDER_REMOVED: &str = "cannot process message from removed member";
pub(crate) const NOT_LEARNER: &str = "membership: can only promote a learner member";
pub(crate) const LEARNER_NOT_READY: &str =
    "etcdserver: can only promote a learner member which is in sync with leader";
pub(crate) const ID_NOT_FOUND: &str = "membership: ID not found";
pub(crate) const LEASE_NOT_FOUND: &str = "lease not found";
pub(crate) const WAIT_APPLIED: &str = "waiting for node to catch up its applied index has timed out";
pub(crate) const COMPACTED: &str = "mvcc: required revision has been compacted";
pub(crate) const FUTURE_REVISION: &str = "mvcc: required revision is a future revision";
