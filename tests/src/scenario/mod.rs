//! Suites as text: requests and what a server answers to them, as data.
//!
//! A scenario file holds cases. A case starts from an empty store and a revision called `+0`, so cases neither
//! need each other nor an order:
//!
//! ```text
//! case a second put keeps the creation revision
//! with needs lease              conditions: fresh | flag F | since 3.7 | needs SERVICE
//! : put a 1                     must succeed; the answer is of no interest
//! > put a 2 prev_kv             the answer follows, line by line
//! rev +2
//! prev a=1 create +1 mod +1 ver 1
//! > txn                         deeper lines belong to the request
//! >   if mod(a) = +2
//! >   then delete a
//! rev +3
//! succeeded
//!   delete
//!     rev +3 alone
//!     deleted 1
//! @etcd-3.4 why it differs      the answer of another target, with the reason
//! ...
//! ```
//!
//! `...` at the end of an expected line accepts any rest. [`KvSession`] knows the requests of the gRPC services,
//! [`KillSession`] also how to kill the server, which to [`AbruptSession`] every restart is, [`WatchSession`] how to
//! watch, [`MembersSession`] how to change the members, [`CtlSession`] the requests of etcdctl; their module texts
//! list them. With `UPDATE_SCENARIOS=etcd-3.7` (or `etcd-3.4`) in the environment a run against that etcd writes its
//! answers into the file instead of comparing them; read the difference before you keep it.

mod ctl;
mod kv;
mod members;
mod run;
mod text;
mod until;
mod watch;
mod words;

pub use ctl::CtlSession;
pub use kv::{AbruptSession, KillSession, KvSession};
pub use members::MembersSession;
pub use run::{Session, run};
pub use watch::WatchSession;
