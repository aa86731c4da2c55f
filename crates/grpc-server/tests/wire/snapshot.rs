//! Backups: the stream's form, and what etcdctl makes of it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use bytes::{Bytes, BytesMut};
use ferretcd_api_proto::etcdserverpb::{SnapshotRequest, SnapshotResponse};
use ferretcd_engine::Caller;
use prost::Message as _;

use crate::support::*;

const SNAPSHOT: &str = "/etcdserverpb.Maintenance/Snapshot";
const BLOB_BYTES: usize = 32 << 10;

/// A server with some rows, of which some are large, that are not all in its state file.
async fn served() -> Served {
    let served = Served::start().await;
    for n in 0..300 {
        served.put(&format!("k{n}"), vec![b'v'; if n % 50 == 0 { 100_000 } else { 100 }]).await;
    }
    served
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn snapshot_is_an_image_in_blobs_and_its_hash() {
    let served = served().await;
    let response = served.client().await.call(SNAPSHOT, &SnapshotRequest {}).await;
    assert_eq!(response.outcome(), "0");
    let messages = response.messages().into_iter().map(SnapshotResponse::decode);
    let messages: Vec<_> = messages.collect::<Result<_, _>>().expect("snapshot responses");

    let (last, blobs) = messages.split_last().expect("there is a hash at least");
    let size: usize = blobs.iter().map(|message| message.blob.len()).sum();
    let mut left = size;
    for (at, message) in blobs.iter().enumerate() {
        let is_last = at + 1 == blobs.len();
        assert!(message.blob.len() == BLOB_BYTES || is_last, "{} bytes", message.blob.len());
        left -= message.blob.len();
        assert_eq!(message.remaining_bytes, left as u64);
    }
    assert_eq!((last.blob.len(), last.remaining_bytes), (ferretcd_bolt::TRAILER_BYTES, 0));
    for message in &messages {
        assert_eq!((message.version.as_str(), &message.header), ("3.7.0", &None));
    }

    let file: BytesMut = messages.iter().flat_map(|message| message.blob.clone()).collect();
    assert_eq!(ferretcd_bolt::check_trailer(&&file[..]).expect("memory"), ferretcd_bolt::Trailer::Intact);
    let backend = ferretcd_backend::Backend::in_memory();
    ferretcd_apply::snapshot::import_into(&file[..], &backend, |_| ()).expect("an image of a state");
    let hash = ferretcd_apply::backend_hash(&backend.view()).expect("memory");
    assert_eq!(hash, served.engine.maintenance().hash(&Caller::ANONYMOUS).await.expect("a readable file"));
}

/// A client that goes away costs nothing from then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn clients_that_go_away_are_forgotten() {
    let served = served().await;
    for _ in 0..20 {
        let client = served.client().await;
        let (response, mut request) = client.begin(SNAPSHOT).await;
        request.send_data(frame(&SnapshotRequest {}), true).expect("the call is open");
        let head = soon("the head of a stream", response).await.expect("the call has a response");
        drop(head);
        client.connection.abort();
    }
    let other = served.client().await;
    assert_eq!(other.get("k1").await, Bytes::from(vec![b'v'; 100]));
    soon("the end of the server", served.drain()).await.expect("nothing panics");
}

/// The program's path, if it is installed.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file())
}

#[tokio::test(flavor = "multi_thread")]
async fn etcdctl_saves_and_reads_a_snapshot() {
    let Some(etcdctl) = installed("etcdctl") else {
        // The harness hides what macros print in tests that pass, but not this.
        let mut terminal = std::io::stderr();
        writeln!(terminal, "a test is left out: etcdctl is not installed").expect("a terminal");
        return;
    };
    let served = served().await;
    let (address, dir) = (served.address.to_string(), tempfile::tempdir().expect("a directory"));
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(&etcdctl);
        command.current_dir(dir.path()).env("ETCDCTL_API", "3").args(["--endpoints", &address]);
        command.args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = soon("etcdctl", output).await.expect("no panic").expect("etcdctl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let saved = run(&["snapshot", "save", "backup"]).await;
    assert!(saved.contains("Snapshot saved at backup"), "{saved}");
    let status = run(&["snapshot", "status", "backup", "-w", "json"]).await;
    assert!(status.contains("\"revision\":301,"), "{status}");
    let restored = ["snapshot", "restore", "backup", "--data-dir", "restored"];
    run(&restored).await;
}
