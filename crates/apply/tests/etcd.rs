//! Databases of a real etcd: one becomes a state file, goes back into an image, and etcd goes on with it.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow::Continue;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use ferretcd_apply::{Config, StateMachine, snapshot};
use ferretcd_backend::{Backend, Batch};

const STORES: Config = Config {
    mvcc: ferretcd_mvcc::Config { cache_bytes: 1 << 20 },
    lease: ferretcd_lease::Config { ttl_min: 2 },
};
/// Sockets in the member's directory, so that no port has to be free.
const CLIENTS: &str = "unix://client:1";
const PEERS: &str = "unix://peer:1";

/// A running member with its data in `data` of its directory; ended in order when dropped.
struct Etcd {
    child: Child,
    dir: PathBuf,
    /// Keeps reading the log, which would block the member otherwise.
    log: Option<JoinHandle<()>>,
}

impl Etcd {
    /// Starts the member and waits until it serves.
    fn start(program: &Path, dir: &Path) -> Self {
        let mut command = Command::new(program);
        command.current_dir(dir).args(["--name", "m1", "--data-dir", "data", "--logger", "zap"]);
        command.args(["--listen-client-urls", CLIENTS, "--advertise-client-urls", CLIENTS]);
        command.args(["--listen-peer-urls", PEERS, "--initial-advertise-peer-urls", PEERS]);
        command.args(["--initial-cluster", "m1=unix://peer:1"]);
        command.args(["--heartbeat-interval", "10", "--election-timeout", "100"]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program is there");
        let mut log = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut lines = String::new();
        while !lines.contains("serving client traffic") {
            let n_read = log.read_line(&mut lines).expect("a pipe");
            assert_ne!(n_read, 0, "{} ended:\n{lines}", program.display());
        }
        let log = thread::spawn(move || drop(log.read_to_end(&mut Vec::new())));
        Self { child, dir: dir.to_owned(), log: Some(log) }
    }

    fn ctl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("etcdctl");
        command.current_dir(&self.dir).env("ETCDCTL_API", "3").args(["--endpoints", CLIENTS]);
        let output = command.args(arguments).output().expect("etcdctl runs");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "etcdctl {arguments:?}: {complaint}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The current hash of the history.
    fn hash_kv(&self) -> u32 {
        let shown = self.ctl(&["endpoint", "hashkv", "-w", "json"]);
        let (_, hash) = shown.split_once("\"hash\":").expect("a hash");
        let digits = hash.split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok()).expect("a number")
    }

    /// The state that clients see: keys, leases, members, alarms.
    fn see(&self) -> String {
        let keys = self.ctl(&["get", "", "--prefix", "-w", "fields"]);
        // The term is higher after a start.
        let keys: Vec<_> = keys.lines().filter(|line| !line.contains("RaftTerm")).collect();
        let rest = [&["lease", "list"][..], &["member", "list"], &["alarm", "list"]];
        let rest: String = rest.into_iter().map(|arguments| self.ctl(arguments)).collect();
        keys.join("\n") + &rest
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // One that has ended by itself made the test fail before.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}

/// The programs that are there: of the system, and the newer one that the tests of the workspace build.
fn programs() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed =
        |name: &str| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file());
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("interop").join("etcd37");
    let programs: Vec<_> = installed("etcdctl")
        .map(|_| installed("etcd").into_iter().chain(Some(built).filter(|path| path.is_file())).collect())
        .unwrap_or_default();
    if programs.is_empty() {
        // The harness hides what macros print in tests that pass, but not this.
        writeln!(io::stderr(), "a test is left out: etcd and etcdctl are not installed").expect("a terminal");
    }
    programs
}

#[test]
fn etcd_goes_on_with_what_it_gets_back() {
    programs().iter().for_each(|program| check(program));
}

fn check(program: &Path) {
    let temp = tempfile::tempdir().expect("a directory");
    let etcd = Etcd::start(program, temp.path());
    for i in 0..40 {
        etcd.ctl(&["put", &format!("key{}", i % 17), &format!("value {i}: {}", "x".repeat(i * 200))]);
    }
    etcd.ctl(&["del", "key3"]);
    etcd.ctl(&["compaction", "20", "--physical"]);
    let granted = etcd.ctl(&["lease", "grant", "1000"]);
    let lease = granted.split(' ').nth(1).expect("an id");
    etcd.ctl(&["put", "leased", "v", "--lease", lease]);
    let (seen, hash) = (etcd.see(), etcd.hash_kv());
    drop(etcd);

    let database = temp.path().join("data/member/snap/db");
    let state = temp.path().join("state.redb");
    let applied = snapshot::import(&database, &state, |_| Continue(())).expect("a database of etcd");
    let backend = Backend::open(&state, &ferretcd_backend::Config { cache_bytes: 1 << 20 })
        .expect("it was just written");
    let machine = StateMachine::open(backend.clone(), &STORES, &mut Batch::default()).expect("etcd's rows");
    assert_eq!(machine.reader().compute_hash_kv(0).expect("the newest revision").hash, hash);
    assert_eq!((machine.membership().members().count(), machine.lease_reader().count()), (1, 1));
    assert!(applied.position.index > 40, "{applied:?}");

    let mut export = snapshot::export(backend.view()).expect("a view");
    assert_eq!(export.mark(), &applied);
    fs::remove_file(&database).expect("it is there");
    io::copy(&mut export, &mut fs::File::create(&database).expect("disk")).expect("disk");
    let etcd = Etcd::start(program, temp.path());
    assert_eq!((etcd.see(), etcd.hash_kv()), (seen, hash));
    etcd.ctl(&["del", "key1", "key9"]);
    etcd.ctl(&["lease", "revoke", lease]);
    etcd.ctl(&["compaction", "40", "--physical"]);
    assert_eq!(etcd.ctl(&["get", "leased"]), "");
}
