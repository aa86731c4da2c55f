//! Which directories a member starts on, and when.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TryRecvError, sync_channel};
use std::thread;

use ferretcd_base::{ClusterId, MemberId};
use ferretcd_engine::{Bootstrap, Config, Engine, NoPeers, StartError};
use ferretcd_wal::{Metadata, Wal};
use prometheus::{IntGauge, Registry};
use tokio::runtime::Builder;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::support::*;

/// Starts, which has to fail, and returns the text of the error with `dir` replaced.
fn start_error(config: Config) -> String {
    let dir = config.data_dir.clone();
    match Member::try_start(config, Registry::new()) {
        Ok(_) => panic!("started on {}", dir.display()),
        Err(error) => error.to_string().replace(dir.to_str().expect("a temporary name is text"), "DIR"),
    }
}

#[test]
fn initial_cluster_without_the_member_is_rejected() {
    fn check(change: impl FnOnce(&mut Config), expected: &str) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = config(dir.path());
        change(&mut config);
        assert_eq!(start_error(config), expected);
    }
    check(
        |config| config.name = "other".to_owned(),
        r#"start: couldn't find local name "other" in the initial cluster configuration"#,
    );
}

#[test]
fn existing_member_ignores_the_initial_cluster() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    let (id, cluster) = (member.engine.member().id(), member.engine.member().cluster_id());
    member.stop();
    let member = Member::start(Config {
        bootstrap: Bootstrap::New { initial_cluster: [].into(), token: "another".to_owned() },
        ..config(dir.path())
    });
    assert_eq!((member.engine.member().id(), member.engine.member().cluster_id()), (id, cluster));
    member.stop();
}

/// A member that joins a cluster has an empty log until the others send it theirs. Started again before that, it must
/// not take itself for a founder.
#[test]
fn log_without_entries_founds_no_cluster() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = config(dir.path());
    assert!(!settings.has_log());
    let wal_config = ferretcd_wal::Config { segment_bytes: 64_000_000, unsafe_no_fsync: true };
    let identity = Metadata { node_id: 7, cluster_id: 9 };
    drop(Wal::create(&dir.path().join("member/wal"), identity, wal_config).expect("a new log"));
    assert!(settings.has_log());
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let started = Engine::start(settings, Arc::new(NoPeers), &Registry::new(), runtime.handle());
    let engine = started.unwrap_or_else(|error| panic!("failed to {error}"));
    assert_eq!((engine.member().id(), engine.member().cluster_id()), (MemberId(7), ClusterId(9)));
    assert_eq!((engine.member().membership().members().count(), engine.member().status().committed), (0, 0));
    runtime.block_on(engine.stop());
}

#[test]
fn database_of_etcd_without_its_log_is_not_touched() {
    let dir = tempfile::tempdir().expect("a directory");
    let database = dir.path().join("member/snap/db");
    fs::create_dir_all(database.parent().expect("it has one")).expect("a directory");
    fs::write(&database, "data of another program").expect("a file");
    assert_eq!(
        start_error(config(dir.path())),
        "start: DIR/member/snap/db exists, but there is no log in DIR/member/wal; give the right --wal-dir, restore \
         both from one backup, or start on an empty data directory as a new member"
    );
    assert_eq!(fs::read(&database).expect("still there"), b"data of another program");
    assert!(!dir.path().join("member/wal").exists() && !dir.path().join("member/state.redb").exists());
}

/// Writes some and makes it durable in the state file, then ends.
fn live(config: Config, puts: usize) -> u64 {
    let member = Member::start(config);
    member.run(async |engine| {
        for index in 0..puts {
            engine.kv().put(&CALLER, put(format!("k{index}"), "v")).await.expect("a put");
            // Each of these ends in a commit, and each commit may leave a mark in the log.
            engine.maintenance().flush().await.expect("a commit");
        }
    });
    let applied = member.engine.member().status().applied;
    member.stop();
    applied
}

#[test]
fn log_that_ends_before_the_state_is_rejected() {
    let (dir, old) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    let log = dir.path().join("member/wal");
    let last = live(config(dir.path()), 3);
    copy(&log, old.path());
    let applied = live(config(dir.path()), 3);
    assert!(applied > last);

    fs::remove_dir_all(&log).expect("the log is there");
    assert_eq!(
        start_error(config(dir.path())),
        "start: DIR/member/state.redb exists, but there is no log in DIR/member/wal; give the right --wal-dir, restore \
         both from one backup, or start on an empty data directory as a new member"
    );
    assert!(!log.exists(), "nothing is made where something is missing");

    copy(old.path(), &log);
    let expected = format!(
        "start: the state file is at entry {applied}, but the log ends at entry {last}; restore both from one \
         backup"
    );
    assert_eq!(start_error(config(dir.path())), expected);
}

#[test]
fn state_from_before_the_log_is_rejected() {
    let (dir, old) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    let (state, old) = (dir.path().join("member/state.redb"), old.path().join("state.redb"));
    let applied = live(config(dir.path()), 3);
    fs::copy(&state, &old).expect("a copy");
    live(Config { snapshot_count: 1, ..config(dir.path()) }, 10);

    fs::copy(&old, &state).expect("the copy comes back");
    let start = format!("start: the state file is at entry {applied}, but the log begins behind entry ");
    let start_error = start_error(config(dir.path()));
    let rest = start_error.strip_prefix(&start).unwrap_or_else(|| panic!("{start_error}"));
    let (first, advice) = rest.split_once("; ").expect("it ends with an advice");
    assert!(first.parse::<u64>().expect("an index") > applied, "{first}");
    assert_eq!(advice, "restore both from one backup");
}

/// Sends a word for the warning that the directory is in use.
struct Warned(SyncSender<()>);

impl<S: Subscriber> Layer<S> for Warned {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::WARN {
            let _ = self.0.try_send(());
        }
    }
}

#[test]
fn second_member_waits_for_the_lock() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Member::start(config(dir.path()));
    first.run(async |engine| engine.kv().put(&CALLER, put("a", "1")).await).expect("a put");

    let (warned, is_warned) = sync_channel(1);
    let (started, is_started) = sync_channel(1);
    let config = config(dir.path());
    let second = thread::spawn(move || {
        let subscriber = tracing_subscriber::registry().with(Warned(warned));
        let second = tracing::subscriber::with_default(subscriber, || Member::start(config));
        started.send(()).expect("the test waits");
        let (_, rows, _) = second.run(state);
        second.stop();
        rows
    });
    is_warned.recv().expect("it says that it waits");
    assert_eq!(is_started.try_recv(), Err(TryRecvError::Empty));
    first
        .run(async |engine| engine.kv().put(&CALLER, put("b", "2")).await)
        .expect("the second does not disturb the first");
    first.stop();

    is_started.recv().expect("now it starts");
    let rows = second.join().expect("it does not panic");
    assert_eq!(rows.iter().map(|row| &row.key[..]).collect::<Vec<_>>(), [b"a", b"b"]);
}

#[test]
fn stopped_member_releases_its_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let Member { engine, registry, runtime } = Member::start(config(dir.path()));
    runtime.block_on(engine.stop());
    drop((engine, registry));
    // The runtime goes on, as in a program that starts a member anew.
    Member::start_in_time(config(dir.path())).stop();
    drop(runtime);
}

#[test]
fn registry_takes_one_member() {
    let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another")];
    let first = Member::start(config(dirs[0].path()));
    let second = Member::try_start(config(dirs[1].path()), first.registry.clone());
    assert!(matches!(second, Err(StartError::Metrics(_))), "{:?}", second.err());
    first.stop();
}

#[test]
fn failed_start_leaves_nothing_running() {
    fn check(dir: &Path, metric: &str) {
        let registry = Registry::new();
        let taken = IntGauge::new(metric, "Of another program.").expect("a name");
        registry.register(Box::new(taken)).expect("the first of this name");
        let failed = Member::try_start(config(dir), registry);
        assert!(matches!(failed, Err(StartError::Metrics(_))), "{metric}: {:?}", failed.err());
    }
    let dir = tempfile::tempdir().expect("a directory");
    for metric in ["etcd_mvcc_txn_total", "etcd_server_is_leader", "etcd_server_version"] {
        check(dir.path(), metric);
        Member::start_in_time(config(dir.path())).stop();
    }
}
