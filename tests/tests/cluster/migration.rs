//! Members that go on with the other program on their own data directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::alarm_request::AlarmAction;
use ferretcd_tests::members::history::Workload;
use ferretcd_tests::members::{Members, Setup};
use ferretcd_tests::{Caller, Etcd37, Ferretcd, Program};

use super::mixed::is_possible;
use super::snapshots::SHORT_LOG;
use super::support::{judge, put, put_at_last};

/// Ends a member, starts it as ferretcd, and waits until it serves.
async fn swap(cluster: &mut Members<Etcd37>, number: usize, is_killed: bool) {
    match is_killed {
        true => cluster.kill9(number).await,
        false => drop(cluster.stop(number).await),
    }
    cluster.run_as::<Ferretcd>(number).await;
    cluster.restart(number).await;
}

/// Runs `ferretutl`, which lies beside the server.
async fn tool(args: &[&str]) -> Output {
    let located = tokio::task::spawn_blocking(Ferretcd::locate).await.expect("looking for it does not panic");
    let server = located.unwrap_or_else(|missing| panic!("failed to {missing}"));
    let mut command = tokio::process::Command::new(server.with_file_name("ferretutl"));
    command.args(args).output().await.expect("it is built with the server")
}

/// Ends a member of ferretcd, and starts it as etcd.
async fn swap_back<P: Program>(cluster: &mut Members<P>, number: usize, is_killed: bool) {
    match is_killed {
        true => cluster.kill9(number).await,
        false => drop(cluster.stop(number).await),
    }
    let dir = cluster.data_dir(number).display().to_string();
    let left = tool(&["migrate", "--to=etcd", "--data-dir", &dir]).await;
    assert!(left.status.success(), "{left:?}");
    cluster.run_as::<Etcd37>(number).await;
    cluster.restart(number).await;
}

fn files_put_aside<P: Program>(cluster: &Members<P>, number: usize) -> PathBuf {
    cluster.data_dir(number).join("member/snap/etcd-before-migration")
}

/// Everything that is compared with a hash over all rows but those of the position in the log, and the compaction.
async fn state<P: Program>(cluster: &Members<P>, number: usize) -> (u32, u32, i64, i64, usize) {
    let mut clients = cluster.clients(number);
    let hash = clients.maintenance.hash(pb::HashRequest {}).await.expect("every member has one").into_inner();
    let hash_kv = clients.maintenance.hash_kv(pb::HashKvRequest { revision: 0 }).await;
    let hash_kv = hash_kv.expect("every member has one").into_inner();
    let leases = clients.lease.lease_leases(pb::LeaseLeasesRequest {}).await.expect("there is a leader");
    let leases = leases.into_inner().leases.len();
    (hash.hash, hash_kv.hash, hash_kv.hash_revision, hash_kv.compact_revision, leases)
}

/// Fills every bucket of the database.
async fn fill<P: Program>(cluster: &Members<P>) {
    let (mut clients, caller) = (cluster.clients(0), Caller::of(&cluster.client_url(0)));
    for index in 0..200 {
        put(&clients, &format!("key{}", index % 40), &format!("value{index}")).await.expect("there is room");
    }
    let delete =
        pb::DeleteRangeRequest { key: "key1".into(), range_end: "key2".into(), ..Default::default() };
    clients.kv.delete_range(delete).await.expect("it is a range");
    clients.kv.compact(pb::CompactionRequest { revision: 100, physical: true }).await.expect("it is reached");
    for id in 1..=20 {
        clients.lease.lease_grant(pb::LeaseGrantRequest { id, ttl: 1000 }).await.expect("the ids are free");
        let put = pb::PutRequest { key: format!("leased{id}").into(), lease: id, ..Default::default() };
        clients.kv.put(put).await.expect("the lease is there");
    }
    let alarm = pb::AlarmRequest {
        action: AlarmAction::Activate as i32,
        member_id: 77,
        alarm: pb::AlarmType::Nospace as i32,
    };
    caller.call(pb::AuthRoleAddRequest { name: "role".into() }).await.expect("it is new");
    let user =
        pb::AuthUserAddRequest { name: "user".into(), password: "secret".into(), ..Default::default() };
    caller.call(user).await.expect("it is new");
    let grant = pb::AuthUserGrantRoleRequest { user: "user".into(), role: "role".into() };
    caller.call(grant).await.expect("both are there");
    // The last one, because nothing can be written any more.
    clients.maintenance.alarm(alarm).await.expect("it may be raised by hand");
}

/// A member that was ended in any way has the same state as before, rows of every bucket included.
async fn lone(is_killed: bool) {
    let mut cluster = Members::<Etcd37>::start(&Setup::of(1).with(SHORT_LOG)).await;
    fill(&cluster).await;
    let before = state(&cluster, 0).await;
    swap(&mut cluster, 0, is_killed).await;
    assert_eq!(state(&cluster, 0).await, before);
    let aside = files_put_aside(&cluster, 0);
    assert!(aside.join("db").exists(), "the database of etcd is there");
    assert!(cluster.logs(0).contains(&format!("rm -r '{}'", aside.display())), "{}", cluster.logs(0));
    // They are not needed any more, as the log says.
    fs::remove_dir_all(aside).expect("it is there");
    cluster.kill9(0).await;
    cluster.restart(0).await;
    assert_eq!(state(&cluster, 0).await, before);
}

/// From ferretcd to etcd and back.
async fn there_and_back(is_killed: bool) {
    let mut cluster = Members::<Ferretcd>::start(&Setup::of(1).with(SHORT_LOG)).await;
    fill(&cluster).await;
    let before = state(&cluster, 0).await;
    swap_back(&mut cluster, 0, is_killed).await;
    assert_eq!(state(&cluster, 0).await, before);
    match is_killed {
        true => cluster.kill9(0).await,
        false => drop(cluster.stop(0).await),
    }
    cluster.run_as::<Ferretcd>(0).await;
    cluster.restart(0).await;
    assert_eq!(state(&cluster, 0).await, before);
    let dir = cluster.data_dir(0).display().to_string();
    let rejected = tool(&["migrate", "--to=etcd", "--data-dir", &dir]).await;
    let text = String::from_utf8_lossy(&rejected.stderr).into_owned();
    assert_eq!(text, format!("Error: lock {dir}/member/LOCK: in use by another process; stop it first\n"));
    assert_eq!(rejected.status.code(), Some(1));
}

/// Kills ferretcd after each of its first lines, on a copy of one directory of etcd.
async fn killed_while_it_starts() {
    let mut cluster = Members::<Etcd37>::start(&Setup::of(1).with(SHORT_LOG)).await;
    fill(&cluster).await;
    let before = state(&cluster, 0).await;
    cluster.kill9(0).await;
    let copy = tempfile::tempdir().expect("a directory");
    copy_all(&cluster.data_dir(0).join("member"), &copy.path().join("member"));
    for lines in 1.. {
        cluster.wipe(0);
        copy_all(copy.path(), cluster.data_dir(0));
        cluster.run_as::<Ferretcd>(0).await;
        let is_ready = cluster.spawn_and_kill9_after(0, lines).await;
        cluster.restart(0).await;
        assert_eq!(state(&cluster, 0).await, before, "killed after {lines} lines");
        cluster.kill9(0).await;
        if is_ready {
            assert!(lines > 5, "the steps before were killed");
            return;
        }
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for file in fs::read_dir(from).expect("a directory").flatten() {
        let (path, target) = (file.path(), to.join(file.file_name()));
        match path.is_dir() {
            true => copy_all(&path, &target),
            false => drop(fs::copy(&path, &target).expect("a file")),
        }
    }
}

/// One member after the other is swapped under load, and then back. Clients that repeat requests notice nothing.
async fn one_by_one() {
    let mut cluster = Members::<Etcd37>::start(&Setup::of(3).with(SHORT_LOG)).await;
    let load = Workload::default().begin(&cluster.client_urls(&[0, 1, 2]));
    for number in 0..3 {
        load.changes(100).await;
        swap(&mut cluster, number, number != 1).await;
        put_at_last(&cluster.clients(number), &format!("through{number}"), "v").await;
        assert!(files_put_aside(&cluster, number).join("db").exists(), "m{number} has migrated");
    }
    for number in 0..3 {
        load.changes(100).await;
        swap_back(&mut cluster, number, number != 1).await;
        put_at_last(&cluster.clients(number), &format!("back through{number}"), "v").await;
    }
    load.changes(100).await;
    let history = load.finish().await;
    judge(&cluster, &history, "etcd swapped for ferretcd and back").await;
    for number in 0..3 {
        cluster.kill9(number).await;
    }
    for number in 0..3 {
        cluster.spawn(number);
    }
    for number in 0..3 {
        cluster.ready(number).await;
    }
    cluster.assert_equal().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lone_member_that_was_stopped() {
    if is_possible("a stopped etcd started as ferretcd") {
        lone(false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lone_member_that_was_killed() {
    if is_possible("a killed etcd started as ferretcd") {
        lone(true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lone_member_there_and_back() {
    if is_possible("ferretcd started as etcd") {
        there_and_back(false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_member_there_and_back() {
    if is_possible("a killed ferretcd started as etcd") {
        there_and_back(true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_during_the_migration() {
    if is_possible("kills during a migration") {
        killed_while_it_starts().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_one_by_one() {
    if is_possible("members of etcd swapped in place") {
        one_by_one().await;
    }
}
