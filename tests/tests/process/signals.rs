//! What signals do to a member that starts, and to one that serves.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use ferretcd_tests::Program;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::started::{READY, Started, directory, health, sole};

/// Those that are ignored, and those that the kernel ignores by itself: SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGCHLD,
/// SIGCONT, SIGURG, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGWINCH, SIGIO, SIGPWR, and some of the realtime signals.
const HARMLESS: [i32; 19] = [10, 12, 13, 14, 17, 18, 23, 24, 25, 26, 27, 28, 29, 30, 35, 36, 50, 63, 64];

/// What a member waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The lock of its directory.
    Lock,
    /// The response of a member of the cluster that it joins.
    Join,
    /// A quorum.
    Quorum,
    /// Requests.
    Serving,
}

const PHASES: [Phase; 4] = [Phase::Lock, Phase::Join, Phase::Quorum, Phase::Serving];

/// A member in a phase, and what keeps it there.
struct Waiting {
    process: Started,
    _dir: TempDir,
    _owner: Option<Started>,
    _silent: Option<TcpListener>,
}

impl Phase {
    async fn enter<P: Program>(self) -> Waiting {
        let dir = directory();
        let data_dir = dir.path().join("data");
        let (mut owner, mut silent) = (None, None);
        let with_other = |url: &str, state: &str| {
            let mut flags = sole(&data_dir);
            flags.push(format!("--initial-cluster=default=http://127.0.0.1:1,other={url}"));
            flags.push(format!("--initial-cluster-state={state}"));
            flags
        };
        let (flags, line) = match self {
            Self::Lock => {
                let mut first = Started::sole::<P>(&data_dir, &[]).await;
                first.says(READY).await;
                owner = Some(first);
                let line = if P::KIND.reference {
                    "Opening db file"
                } else {
                    "db file is flocked by another process"
                };
                (sole(&data_dir), line)
            }
            Self::Join => {
                // The system accepts, and no program does.
                let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
                let url = format!("http://{}", listener.local_addr().expect("it is bound"));
                silent = Some(listener);
                (with_other(&url, "existing"), "starting an etcd server")
            }
            Self::Quorum => (with_other("http://127.0.0.1:2", "new"), "serving peer traffic"),
            // etcd catches signals later than it says that it serves.
            Self::Serving => (sole(&data_dir), "notifying init daemon"),
        };
        let mut process = Started::new::<P>(&flags).await;
        process.says(line).await;
        Waiting { process, _dir: dir, _owner: owner, _silent: silent }
    }
}

/// Signals by number, because the library has no names for the realtime ones.
fn send(pid: Pid, number: i32) {
    let command = format!("kill -{number} {}", pid.as_raw_nonzero());
    let status = Command::new("sh").args(["-c", &command]).status().expect("there is a shell");
    assert!(status.success(), "{command}");
}

/// A process that is sent many signals ends by the last one alone.
pub(crate) async fn harmless<P: Program>() {
    for phase in PHASES {
        let mut waiting = phase.enter::<P>().await;
        for number in HARMLESS {
            send(waiting.process.pid(), number);
        }
        if phase == Phase::Serving {
            let address = waiting.process.serves().await;
            let health = health(address).await.expect("it serves");
            assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
        }
        waiting.process.send(Signal::TERM);
        let status = waiting.process.ended().await;
        assert_eq!(
            status.signal(),
            Some(Signal::TERM.as_raw()),
            "{phase:?}: {status}\n{}",
            waiting.process.log
        );
    }
}

/// What a signal ends has not failed, and was closed in order if it served clients.
pub(crate) async fn ended_starts<P: Program>() {
    for signal in [Signal::TERM, Signal::INT] {
        for phase in PHASES {
            let mut waiting = phase.enter::<P>().await;
            waiting.process.send(signal);
            let status = waiting.process.ended().await;
            let log = &waiting.process.log;
            assert_eq!(status.signal(), Some(signal.as_raw()), "{phase:?}: {status}\n{log}");
            assert!(!log.contains(r#""level":"fatal""#), "{phase:?}: {log}");
            assert_eq!(log.contains("closed etcd server"), phase == Phase::Serving, "{phase:?}: {log}");
        }
    }
}
