//! Directories that exist before the member does, and starts that are ended at any moment.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeRequest};
use ferretcd_tests::{Clients, Ferretcd, Program};
use rustix::process::Signal;

use crate::started::{READY, Started, directory};

/// Puts long enough for a log that takes a while to read.
const PUTS: i64 = 300;
const VALUE_BYTES: usize = 20_000;

/// Makes something below a directory.
type Prepare = fn(&Path);

/// Starts with the log in `log` after `prepare`, twice. ferretcd leaves the files of others as they are; etcd deletes
/// them.
async fn check<P: Program>(name: &str, prepare: Prepare, strangers: &[&str]) {
    let dir = directory();
    prepare(dir.path());
    for file in strangers {
        fs::write(dir.path().join(file), file).expect("there is room");
    }
    let wal_dir = [format!("--wal-dir={}", dir.path().join(name).display())];
    for _ in 0..2 {
        let mut process = Started::sole::<P>(&dir.path().join("data"), &wal_dir).await;
        process.says(READY).await;
        process.send(Signal::TERM);
        process.ended().await;
    }
    let segment = dir.path().join(name).join("0000000000000000-0000000000000000.wal");
    assert!(segment.exists(), "{name}");
    for file in strangers.iter().filter(|_| !P::KIND.reference) {
        assert_eq!(fs::read_to_string(dir.path().join(file)).ok().as_deref(), Some(*file));
    }
}

pub(crate) async fn log_directories<P: Program>() {
    let make: Prepare = |root| fs::create_dir(root.join("log")).expect("there is room");
    let make_full: Prepare = |root| fs::create_dir_all(root.join("log/lost+found")).expect("there is room");
    check::<P>("log", |_| {}, &[]).await;
    check::<P>("log", make, &[]).await;
    check::<P>("log", make_full, &["log/README", "log/lost+found/#1"]).await;
    check::<P>("a/b/log", |_| {}, &[]).await;
    check::<P>("data/log", |_| {}, &[]).await;
    let inside: Prepare = |root| fs::create_dir_all(root.join("data/member/wal")).expect("there is room");
    check::<P>("data/member/wal", inside, &["data/member/wal/README", "data/README"]).await;
    if !P::KIND.reference {
        // etcd puts a directory in the place of the link.
        let link: Prepare = |root| {
            fs::create_dir(root.join("elsewhere")).expect("there is room");
            symlink(root.join("elsewhere"), root.join("log")).expect("there is room");
        };
        check::<P>("log", link, &["elsewhere/README"]).await;
    }
}

async fn clients(process: &mut Started) -> Clients {
    let address = process.serves().await;
    Clients::lazy(&format!("http://{address}"), std::time::Duration::from_secs(20))
}

/// Starts again and again, and ends each start by a signal after one more line of its log, until a start is through.
async fn abort_at_every_line(data_dir: &Path) {
    for lines in 0.. {
        let mut process = Started::sole::<Ferretcd>(data_dir, &[]).await;
        for _ in 0..lines {
            if process.line().await.is_some_and(|line| line.contains(READY)) {
                return;
            }
        }
        process.send(Signal::TERM);
        let status = process.ended().await;
        assert_eq!(
            status.signal(),
            Some(Signal::TERM.as_raw()),
            "after {lines} lines: {status}\n{}",
            process.log
        );
    }
}

/// Not on etcd, which after some of these starts never has a leader again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_ended_can_be_repeated() {
    let dir = directory();
    let data_dir = dir.path().join("data");
    // The first of all starts.
    abort_at_every_line(&data_dir).await;
    let mut process = Started::sole::<Ferretcd>(&data_dir, &[]).await;
    let mut kv = clients(&mut process).await.kv;
    for number in 0..PUTS {
        let value = vec![b'v'; VALUE_BYTES].into();
        let put = PutRequest { key: format!("key{number}").into(), value, ..PutRequest::default() };
        kv.put(put).await.expect("it serves");
    }
    process.send(Signal::KILL);
    process.ended().await;
    // Those with a log.
    abort_at_every_line(&data_dir).await;
    let mut process = Started::sole::<Ferretcd>(&data_dir, &[]).await;
    let mut kv = clients(&mut process).await.kv;
    let all = RangeRequest {
        key: "key".into(),
        range_end: "kez".into(),
        count_only: true,
        ..RangeRequest::default()
    };
    let response = kv.range(all).await.expect("it serves").into_inner();
    assert_eq!((response.count, response.header.expect("each has one").revision), (PUTS, PUTS + 1));
}
