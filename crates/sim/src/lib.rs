//! Whole clusters from one seed, in one thread.
//!
//! The synchronous halves of a member (consensus core, log, state machine, stores, hub of watches, countdown of
//! leases, rounds of reads) are the ones that the server runs. Around them everything is simulated: network, clock,
//! disks, clients, and whatever breaks. A seed decides every delay, fault and request, so a run that went wrong
//! can be looked at as often as one likes:
//!
//! ```text
//! cargo run -p ferretcd-sim --release -- --seed 17 --profile exchange --trace
//! ```
//!
//! * [`run`]: a [`Profile`] and a seed in, a [`Report`] or a [`Violation`] out.
//! * [`Sabotage`]: rules broken on purpose, to see that it is noticed.
//! * [`Trace`]: what happened, as lines and as a hash.
//!
//! It knows no sockets, no threads of a member and no runtime. That those move things in the order that is simulated
//! here is tested on real processes.
//!
//! ```
//! use ferretcd_sim::{Profile, Trace, run};
//!
//! let profile = Profile { faults_ms: 300, healed_ms: 2_500, ..Profile::ALL[0] };
//! let report = run(7, profile, None, Trace::silent())?;
//! assert!(report.n_writes > 0);
//! assert_eq!(run(7, profile, None, Trace::silent())?, report);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod event;
mod event_queue;
mod options;
mod profile;
mod report;
mod run;
mod sabotage;
mod trace;

mod cluster;
mod disk;
mod network;
mod process;
mod workload;
mod world;

mod check;

pub use check::Violation;
pub use options::{Options, OptionsError, USAGE};
pub use profile::Profile;
pub use report::Report;
pub use run::run;
pub use sabotage::Sabotage;
pub use trace::Trace;
