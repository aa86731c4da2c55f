//! A watch that is created again after each restart of the server: the crate does not do that itself.

use std::time::Duration;

use etcd_client::{Client, Error, Txn, TxnOp, WatchOptions};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};

use crate::support::{Server, in_time, mod_revision, prefix, put};

/// The time between two attempts to reach a server that is down.
const PAUSE: Duration = Duration::from_millis(20);

/// Restarts the server under a running writer. The watch must deliver each revision once, whole and in order,
/// including all acknowledged ones.
pub(crate) async fn run(server: &mut Server) {
    println!("case resumed by hand");
    let prefix = prefix("resumed");
    // There is no other writer, so a revision without an event would be a gap.
    let base = put(&mut server.connect().await, "beside", "").await;

    let (confirmed_in, mut confirmed_out) = channel(1024);
    let writer = tokio::spawn(write(server.connect().await, prefix.clone(), confirmed_in));
    let watcher = tokio::spawn(watch(server.connect().await, prefix.clone(), base + 1));

    let mut confirmed = Vec::new();
    for how in ["kill9", "kill9", "stop", "kill9"] {
        take(&mut confirmed_out, &mut confirmed, 20).await;
        server.restart(how).await;
    }
    take(&mut confirmed_out, &mut confirmed, 20).await;
    // The writer ends when the receiver is dropped.
    drop(confirmed_out);
    in_time(writer).await.expect("the writer panicked");
    let last = put(&mut server.connect().await, &format!("{prefix}end"), "").await;

    let seen = in_time(watcher).await.expect("the watcher panicked");
    let expected: Vec<i64> =
        (base + 1..last).flat_map(|revision| [revision, revision]).chain([last]).collect();
    assert_eq!(seen, expected);
    assert!(
        confirmed.iter().all(|revision| seen.binary_search(revision).is_ok()),
        "{confirmed:?} in {seen:?}"
    );
    println!("{} revisions, {} confirmed", last - base, confirmed.len());
}

/// Writes two keys in each revision until the receiver of confirmations is dropped.
async fn write(mut client: Client, prefix: String, confirmed: Sender<i64>) {
    while !confirmed.is_closed() {
        let ops = ["a", "b"].map(|name| TxnOp::put(format!("{prefix}{name}"), "", None));
        // A lost response is given up soon.
        match timeout(Duration::from_secs(2), client.txn(Txn::new().and_then(ops))).await {
            Ok(Ok(response)) => {
                // The receiver may have been dropped meanwhile.
                let _ = confirmed.send(response.header().expect("etcd sends headers").revision()).await;
            }
            Ok(Err(_)) | Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn take(from: &mut Receiver<i64>, into: &mut Vec<i64>, n: usize) {
    while let Ok(revision) = from.try_recv() {
        into.push(revision);
    }
    for _ in 0..n {
        into.push(in_time(from.recv()).await.expect("the writer ended"));
    }
}

/// Watches from a revision on, over any number of streams, until the key `end` is written. Returns the revision of
/// every event.
async fn watch(mut client: Client, prefix: String, mut next: i64) -> Vec<i64> {
    let mut seen = Vec::new();
    loop {
        match watch_once(&mut client, &prefix, &mut next, &mut seen).await {
            Ok(true) => return seen,
            Ok(false) => {}
            Err(error) => println!("the watch ended at {next}: {error}"),
        }
        sleep(PAUSE).await;
    }
}

/// Watches until the stream ends; true if the last key has come.
async fn watch_once(
    client: &mut Client,
    prefix: &str,
    next: &mut i64,
    seen: &mut Vec<i64>,
) -> Result<bool, Error> {
    let options = WatchOptions::new().with_prefix().with_start_revision(*next);
    let mut stream = client.watch(prefix, Some(options)).await?;
    while let Some(response) = stream.message().await? {
        assert!(!response.canceled(), "{response:?}");
        for event in response.events() {
            seen.push(mod_revision(event));
            *next = mod_revision(event) + 1;
            if event.kv().is_some_and(|kv| kv.key().ends_with(b"end")) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
