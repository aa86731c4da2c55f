//! SIGHUP: the configuration file is read again under load.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferretcd_api_proto::etcdserverpb::PutRequest;
use ferretcd_api_proto::etcdserverpb::kv_client::KvClient;
use ferretcd_tests::Ferretcd;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::started::{Started, directory, health, sole};

const RELOADED: &str = "reloaded the configuration file";

/// Writes a configuration file for a sole member, with further lines.
fn write(file: &Path, data_dir: &Path, lines: &str) {
    let flags = sole(data_dir);
    let keys = flags.iter().map(|flag| flag.trim_start_matches("--").replacen('=', ": ", 1));
    let text = keys.chain([lines.to_owned()]).collect::<Vec<_>>().join("\n");
    std::fs::write(file, text).expect("there is room");
}

async fn client(process: &mut Started) -> KvClient<Channel> {
    let endpoint = format!("http://{}", process.serves().await);
    KvClient::new(Channel::from_shared(endpoint).expect("a URL").connect().await.expect("it is served"))
}

fn put() -> PutRequest {
    PutRequest { key: "a".into(), value: vec![b'v'; 100].into(), ..PutRequest::default() }
}

/// Has a member read its file again, and waits for what it says.
async fn reload(process: &mut Started, words: &str) -> String {
    process.send(Signal::HUP);
    process.says(words).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_change_under_load_and_no_call_fails() {
    let dir = directory();
    let (file, data_dir) = (dir.path().join("etcd.yaml"), dir.path().join("data"));
    write(&file, &data_dir, "log-level: info");
    let mut process = Started::new::<Ferretcd>(&[format!("--config-file={}", file.display())]).await;
    let kv = client(&mut process).await;
    let (is_over, mut load) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for _ in 0..8 {
        let (mut kv, is_over) = (kv.clone(), Arc::clone(&is_over));
        load.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                kv.put(put()).await?;
            }
            Ok::<_, tonic::Status>(())
        });
    }
    assert!(!process.log.contains(r#""level":"debug""#), "{}", process.log);

    // A nanosecond each.
    write(&file, &data_dir, "warning-apply-duration: 1\nwarning-unary-request-duration: 1");
    let line = reload(&mut process, RELOADED).await;
    let applied =
        r#""applied":["warning-apply-duration","warning-unary-request-duration"],"needs-restart":[]"#;
    assert!(line.contains(applied), "{line}");
    process.says("apply request took too long").await;
    process.says("request stats").await;

    write(&file, &data_dir, "log-level: debug\nsnapshot-count: 5");
    let line = reload(&mut process, RELOADED).await;
    let applied = r#""applied":["log-level","warning-apply-duration","warning-unary-request-duration"]"#;
    assert!(line.contains(&format!(r#"{applied},"needs-restart":["snapshot-count"]"#)), "{line}");
    process.says(r#""level":"debug""#).await;

    // What needs a restart is named until it has had one; what was applied is not.
    write(&file, &data_dir, "log-level: debug\nsnapshot-count: 5\nwarning-apply-duration: 1000000000");
    let line = reload(&mut process, RELOADED).await;
    let expected = r#""applied":["warning-apply-duration"],"needs-restart":["snapshot-count"]"#;
    assert!(line.contains(expected), "{line}");

    for (wrong, reason) in [
        ("quota-backend-bytes: many", "quota-backend-bytes"),
        ("heartbeat-interval: 90\nelection-timeout: 100", "--election-timeout[100ms] should be"),
        ("a: [", "correct the file"),
    ] {
        write(&file, &data_dir, wrong);
        let line = reload(&mut process, "failed to reload the configuration file").await;
        assert!(line.contains(r#""level":"error""#) && line.contains(reason), "{line}");
        assert!(line.contains(&format!(r#""path":"{}""#, file.display())), "{line}");
    }
    // As an editor leaves it for a moment.
    std::fs::write(&file, "").expect("there is room");
    let line = reload(&mut process, "failed to reload the configuration file").await;
    assert!(line.contains("it sets no flag"), "{line}");
    std::fs::remove_file(&file).expect("it is there");
    reload(&mut process, "failed to reload the configuration file").await;
    mkfifoat(CWD, &file, Mode::RUSR).expect("there is room");
    let line = reload(&mut process, "failed to reload the configuration file").await;
    assert!(line.contains("it is not a regular file"), "{line}");
    std::fs::remove_file(&file).expect("it is there");

    // What is wrong with a file that is good enough is said as at a start.
    write(&file, &data_dir, "log-levle: debug");
    let line = reload(&mut process, "ignoring unknown keys of the configuration file").await;
    assert!(line.contains(r#""level":"warn""#) && line.contains(r#""keys":["log-levle"]"#), "{line}");
    process.says(RELOADED).await;

    is_over.store(true, Ordering::Relaxed);
    while let Some(result) = load.join_next().await {
        result.expect("it does not panic").expect("no call fails");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lower_quota_holds_at_once() {
    let dir = directory();
    let (file, data_dir) = (dir.path().join("etcd.yaml"), dir.path().join("data"));
    write(&file, &data_dir, "");
    let mut process = Started::new::<Ferretcd>(&[format!("--config-file={}", file.display())]).await;
    let mut kv = client(&mut process).await;
    kv.put(put()).await.expect("there is room");
    write(&file, &data_dir, "quota-backend-bytes: 10");
    let line = reload(&mut process, RELOADED).await;
    assert!(line.contains(r#""applied":["quota-backend-bytes"],"needs-restart":[]"#), "{line}");
    let status = kv.put(put()).await.expect_err("there is no room");
    assert_eq!(status.message(), "etcdserver: mvcc: database space exceeded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_file_there_is_nothing_to_reload() {
    let dir = directory();
    let mut process = Started::sole::<Ferretcd>(&dir.path().join("data"), &[]).await;
    process.says("ready to serve client requests").await;
    reload(&mut process, "there is no configuration file to read").await;
    let address = process.serves().await;
    let health = health(address).await.expect("it serves");
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
}
