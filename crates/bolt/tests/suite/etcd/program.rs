//! A real etcd and etcdctl, where they are installed.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

/// Sockets in the member's directory, so that no port has to be free.
const CLIENTS: &str = "unix://client:1";
const PEERS: &str = "unix://peer:1";
const CLUSTER: &str = "m1=unix://peer:1";

/// The program's name if it and etcdctl can be run; prints that the test is left out otherwise.
pub(crate) fn installed(name: &'static str) -> Option<&'static str> {
    let paths: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let missing =
        [name, "etcdctl"].into_iter().find(|name| !paths.iter().any(|path| path.join(name).is_file()));
    match missing {
        None => Some(name),
        Some(missing) => {
            let test = thread::current();
            let test = test.name().unwrap_or("a test");
            // The harness hides what macros print in tests that pass, but not this.
            let mut terminal = std::io::stderr();
            writeln!(terminal, "{test} is left out: {missing} is not installed").unwrap();
            None
        }
    }
}

/// Runs etcdctl in `dir`; returns its output. Panics if it fails.
pub(crate) fn etcdctl(dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("etcdctl");
    command.current_dir(dir).env("ETCDCTL_API", "3").args(["--endpoints", CLIENTS]).args(arguments);
    let output = command.output().unwrap();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "etcdctl {arguments:?}: {}", shown(&output.stderr));
    shown(&output.stdout)
}

/// A running member with its data in `data` of its directory.
pub(crate) struct Etcd {
    child: Child,
    dir: PathBuf,
    /// Keeps reading the log, which would block the member otherwise.
    log: Option<JoinHandle<()>>,
}

impl Etcd {
    /// What makes etcdctl restore `snapshot` for [`Etcd::start`].
    pub(crate) fn restore_arguments(snapshot: &str) -> [&str; 11] {
        [
            "snapshot",
            "restore",
            snapshot,
            "--name",
            "m1",
            "--data-dir",
            "data",
            "--initial-cluster",
            CLUSTER,
            "--initial-advertise-peer-urls",
            PEERS,
        ]
    }

    /// Starts the member and waits until it serves.
    pub(crate) fn start(program: &str, dir: &Path) -> Self {
        let mut command = Command::new(program);
        command.current_dir(dir).args(["--name", "m1", "--data-dir", "data", "--logger", "zap"]);
        command.args(["--listen-client-urls", CLIENTS, "--advertise-client-urls", CLIENTS]);
        command.args(["--listen-peer-urls", PEERS, "--initial-advertise-peer-urls", PEERS]);
        command.args([
            "--initial-cluster",
            CLUSTER,
            "--heartbeat-interval",
            "10",
            "--election-timeout",
            "100",
        ]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut lines = String::new();
        while !lines.contains("serving client traffic") {
            assert_ne!(log.read_line(&mut lines).unwrap(), 0, "{program} ended:\n{lines}");
        }
        let log = thread::spawn(move || drop(log.read_to_end(&mut Vec::new())));
        Self { child, dir: dir.to_owned(), log: Some(log) }
    }

    /// Runs etcdctl against the member.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        etcdctl(&self.dir, arguments)
    }
}

/// Ends the member in order, so that everything is in its files afterwards.
impl Drop for Etcd {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        // A member that has ended by itself made the test fail before.
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}
