//! Suites as text: requests and the expected responses, as data.
//!
//! A scenario file holds cases. A case starts from an empty store and a revision called `+0`, so cases are
//! independent of each other and of their order:
//!
//! ```text
//! case a second put keeps the creation revision
//! with needs lease              conditions: fresh | flag F | since 3.7 | needs SERVICE
//! : put a 1                     must succeed; the response is not compared
//! > put a 2 prev_kv             the response follows, line by line
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
//! @etcd-3.4 why it differs      the response of another target, with the reason
//! ...
//! ```
//!
//! `...` at the end of an expected line accepts any rest. [`KvSession`] has the requests of the gRPC services,
//! [`KillSession`] also kills the server, [`AbruptSession`] kills it at every restart, [`WatchSession`] adds watch
//! streams, [`MembersSession`] has membership changes, [`CtlSession`] the commands of etcdctl; their module texts
//! list the requests. With `UPDATE_SCENARIOS=etcd-3.7` (or `etcd-3.4`) in the environment a run against that etcd
//! writes the responses into the file instead of comparing them; read the difference before you keep it.

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
