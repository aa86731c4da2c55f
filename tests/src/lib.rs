//! End-to-end suites, written once and run on ferretcd and on real etcd.
//!
//! - [`Cluster`] is the interface of a server under test, [`Killable`] what only a process can offer besides.
//!   [`Process`] runs a [`Program`]: [`Ferretcd`] built from this workspace, [`Etcd34`] as Debian ships it,
//!   [`Etcd37`] built from its Go module. The etcd targets are the reference: every expectation was checked on them
//!   first. [`InProcess`] is ferretcd without its command line, as a part of the test's process.
//! - [`members`] has clusters of several processes, networks between them that can be cut, and a checker for the
//!   responses of such clusters.
//! - [`scenario`] runs suites written as text: requests with the expected responses, as data.
//! - [`Clients`] and [`raw`] call the services with and without generated code, [`Caller`] with a token. [`Renewals`]
//!   is a keep-alive stream, [`Observer`] watches the keys of leases, [`WatchStream`] is any stream of the Watch
//!   service.
//! - [`Metrics`] and [`resident_bytes`] measure a server from outside.
//! - [`Browser`] is a headless Chromium, for what users see of a page.
//! - [`ClientProgram`] runs suites that are programs of their own: third-party clients.
//! - [`on_every_target!`] makes one test per suite and target, [`on_every_process!`] one per suite that kills,
//!   [`on_every_program!`] one per suite that needs several members.
//!
//! Random numbers, certificates and the checkers of histories are in `ferretcd-testkit`.
//!
//! The crate holds no expectations of its own: those are in `scenarios/` and in the tests. A target that isn't
//! installed is skipped with a line on stderr; a ferretcd that can't be built or started is a failure. etcd 3.7.1 is
//! built once, in the root of the workspace (Go 1.26, about a minute):
//!
//! ```text
//! (cd tests/interop/go/etcd37 && go build -trimpath -o ../../../../target/interop/etcd37 .)
//! ```
//!
//! ```no_run
//! use ferretcd_tests::{Clients, Cluster, Etcd34, Killable, Options, Process};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut etcd = Process::<Etcd34>::start(&Options::default()).await?;
//! let mut clients = Clients::connect(&etcd).await?;
//! etcd.kill9().await?;
//! etcd.restart().await?;
//! # Ok(())
//! # }
//! ```

mod browser;
mod caller;
mod client;
mod cluster;
mod every_target;
mod interop;
mod leases;
mod measure;
pub mod members;
pub mod raw;
pub mod report;
pub mod scenario;
mod secured;
mod spawn_lock;
mod watch;

pub use browser::Browser;
pub use caller::Caller;
pub use client::Clients;
pub use cluster::{
    Cluster, Etcd34, Etcd37, Ferretcd, InProcess, Killable, Kind, Missing, Options, Process, Program,
    Release, StartError,
};
pub use interop::ClientProgram;
pub use leases::{Observer, Renewals};
pub use measure::{Metrics, resident_bytes};
pub use secured::{Secured, start_secured};
pub use watch::{Event, NO_WATCH, Response, WatchStream};
