//! Cases with a server that stays up.

use etcd_client::{
    CompactionOptions, Compare, CompareOp, DeleteOptions, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse,
    WatchFilterType, WatchOptions,
};

use crate::support::{Server, created, events, in_time, lines, mod_revision, next, prefix, put, revision};

/// Runs the cases one after the other.
pub(crate) async fn run(server: &Server) {
    macro_rules! cases {
        ($($case:ident),* $(,)?) => {$(
            println!("case {}", stringify!($case));
            $case(server, &prefix(stringify!($case))).await;
        )*};
    }
    cases! {
        keys_and_values,
        prefix_with_previous_values,
        start_revision,
        filters,
        several_on_one_stream,
        rejected_watches,
        half_closed,
        requested_progress,
        periodic_progress,
        fragments,
        slow_reader,
        overtaken_by_compaction,
        compacted,
    }
}

async fn keys_and_values(server: &Server, prefix: &str) {
    let mut client = server.connect().await;
    let key = format!("{prefix}a");
    put(&mut client, &key, "1").await;
    let response = client.put(&*key, "2", Some(PutOptions::new().with_prev_key())).await.expect("put");
    assert_eq!(response.prev_key().expect("there was one").value(), b"1");
    let missing = Txn::new()
        .when([Compare::version(&*key, CompareOp::Equal, 0)])
        .and_then([TxnOp::put(&*key, "3", None)])
        .or_else([TxnOp::get(&*key, None)]);
    let response = client.txn(missing).await.expect("txn");
    assert!(!response.succeeded());
    match &response.op_responses()[0] {
        TxnOpResponse::Get(response) => assert_eq!(response.kvs()[0].value(), b"2"),
        other => panic!("{other:?}"),
    }
    let response = client.delete(prefix, Some(DeleteOptions::new().with_prefix())).await.expect("delete");
    assert_eq!(response.deleted(), 1);
    let response = client.get(prefix, Some(GetOptions::new().with_prefix())).await.expect("get");
    assert_eq!(response.count(), 0);
}

async fn prefix_with_previous_values(server: &Server, prefix: &str) {
    let mut client = server.connect().await;
    let options = WatchOptions::new().with_prefix().with_prev_key();
    let mut stream = client.watch(prefix, Some(options)).await.expect("watch");
    let id = created(&mut stream).await;
    let base = put(&mut client, &format!("{prefix}a"), "1").await;
    put(&mut client, &format!("{prefix}b"), "1").await;
    put(&mut client, &format!("{prefix}a"), "2").await;
    client.delete(prefix, Some(DeleteOptions::new().with_prefix())).await.expect("delete");
    assert_eq!(
        lines(base, prefix, &events(&mut stream, id, 5).await),
        ["+0 put a=1", "+1 put b=1", "+2 put a=2 (was 1)", "+3 delete a (was 2)", "+3 delete b (was 1)"]
    );
}

async fn start_revision(server: &Server, prefix: &str) {
    let mut client = server.connect().await;
    let key = format!("{prefix}a");
    let base = put(&mut client, &key, "1").await;
    put(&mut client, &key, "2").await;
    put(&mut client, &key, "3").await;
    let options = WatchOptions::new().with_start_revision(base + 1);
    let mut stream = client.watch(&*key, Some(options)).await.expect("watch");
    let id = created(&mut stream).await;
    put(&mut client, &key, "4").await;
    assert_eq!(
        lines(base, prefix, &events(&mut stream, id, 3).await),
        ["+1 put a=2", "+2 put a=3", "+3 put a=4"]
    );
}

async fn filters(server: &Server, prefix: &str) {
    let mut client = server.connect().await;
    let no_put = WatchOptions::new().with_prefix().with_filters([WatchFilterType::NoPut]);
    let no_delete = WatchOptions::new().with_prefix().with_filters([WatchFilterType::NoDelete]);
    let mut deletes = client.watch(prefix, Some(no_put)).await.expect("watch");
    let mut puts = client.watch(prefix, Some(no_delete)).await.expect("watch");
    let ids = (created(&mut deletes).await, created(&mut puts).await);
    let key = format!("{prefix}a");
    let base = put(&mut client, &key, "1").await;
    client.delete(&*key, None).await.expect("delete");
    put(&mut client, &key, "2").await;
    client.delete(&*key, None).await.expect("delete");
    assert_eq!(lines(base, prefix, &events(&mut deletes, ids.0, 2).await), ["+1 delete a", "+3 delete a"]);
    assert_eq!(lines(base, prefix, &events(&mut puts, ids.1, 2).await), ["+0 put a=1", "+2 put a=2"]);
}

async fn several_on_one_stream(server: &Server, prefix: &str) {
    let mut client = server.connect().await;
    let (a, b) = (format!("{prefix}a"), format!("{prefix}b"));
    let mut stream = client.watch(&*a, Some(WatchOptions::new().with_watch_id(7))).await.expect("watch");
    assert_eq!(created(&mut stream).await, 7);
    stream.watch(&*b, None).await.expect("watch");
    let chosen = created(&mut stream).await;
    assert_ne!(chosen, 7);

    put(&mut client, &a, "1").await;
    events(&mut stream, 7, 1).await;
    put(&mut client, &b, "1").await;
    events(&mut stream, chosen, 1).await;

    stream.cancel(7).await.expect("cancel");
    let canceled = next(&mut stream).await;
    assert!(
        canceled.canceled() && canceled.watch_id() == 7 && canceled.cancel_reason().is_empty(),
        "{canceled:?}"
    );
    assert_eq!(canceled.compact_revision(), 0);
    // Canceling an unknown watch gets no response.
    stream.cancel(7).await.expect("cancel");
    put(&mut client, &a, "2").await;
    put(&mut client, &b, "2").await;
    events(&mut stream, chosen, 1).await;
    // The id of a canceled watch can be used again.
    stream.watch(&*a, Some(WatchOptions::new().with_watch_id(7))).await.expect("watch");
    assert_eq!(created(&mut stream).await, 7);
}

async fn rejected_watches(server: &Server, prefix: &str) {
    let mut client = server.connect().await;
    let key = format!("{prefix}a");
    let mut stream = client.watch(&*key, Some(WatchOptions::new().with_watch_id(3))).await.expect("watch");
    assert_eq!(created(&mut stream).await, 3);
    let rejected = [
        (WatchOptions::new().with_watch_id(3), "mvcc: duplicate watch ID provided on the WatchStream"),
        (WatchOptions::new().with_range(prefix), "mvcc: watcher range is empty"),
        (
            WatchOptions::new().with_start_revision(-1),
            "etcdserver: mvcc: required revision has been compacted",
        ),
    ];
    for (options, reason) in rejected {
        stream.watch(&*key, Some(options)).await.expect("watch");
        let response = next(&mut stream).await;
        assert!(response.created() && response.canceled() && response.watch_id() == -1, "{response:?}");
        assert_eq!(response.cancel_reason(), reason);
    }
    // The first watch is not affected.
    put(&mut client, &key, "1").await;
    events(&mut stream, 3, 1).await;
}

async fn half_closed(server: &Server, prefix: &str) {
    let mut client = server.connect().await;
    let stream = client.watch(prefix, Some(WatchOptions::new().with_prefix())).await.expect("watch");
    let (requests, mut responses) = stream.split();
    drop(requests);
    let mut next =
        async || in_time(responses.message()).await.expect("the stream failed").expect("the stream ended");
    assert!(next().await.created());
    for value in ["1", "2"] {
        put(&mut client, &format!("{prefix}a"), value).await;
        assert_eq!(next().await.events().len(), 1);
    }
}

async fn requested_progress(server: &Server, prefix: &str) {
    let mut client = server.connect().await;
    let mut stream = client.watch(prefix, Some(WatchOptions::new().with_prefix())).await.expect("watch");
    let id = created(&mut stream).await;
    let base = put(&mut client, &format!("{prefix}a"), "1").await;
    events(&mut stream, id, 1).await;
    stream.request_progress().await.expect("request progress");
    let progress = next(&mut stream).await;
    assert_eq!((progress.watch_id(), revision(&progress)), (-1, base));
    assert!(progress.events().is_empty() && !progress.created() && !progress.canceled(), "{progress:?}");
}

async fn periodic_progress(server: &Server, prefix: &str) {
    let mut client = server.connect().await;
    let options = WatchOptions::new().with_prefix().with_progress_notify();
    let mut stream = client.watch(prefix, Some(options)).await.expect("watch");
    let id = created(&mut stream).await;
    let base = put(&mut client, "beside", "1").await;
    loop {
        let progress = next(&mut stream).await;
        assert!(progress.watch_id() == id && progress.events().is_empty(), "{progress:?}");
        // The first may have been sent before the put.
        if revision(&progress) == base {
            break;
        }
    }
}

/// A revision of 2.8 MiB, of which a fragment holds no more than 2 MiB. The crate does not join fragments itself.
async fn fragments(server: &Server, prefix: &str) {
    const VALUES: usize = 14;
    let mut client = server.connect().await;
    let options = WatchOptions::new().with_prefix().with_prev_key().with_fragment();
    let mut stream = client.watch(prefix, Some(options)).await.expect("watch");
    let id = created(&mut stream).await;
    let value = "x".repeat(100 << 10);
    let puts: Vec<_> = (0..VALUES).map(|i| TxnOp::put(format!("{prefix}{i:02}"), &*value, None)).collect();
    for _ in 0..2 {
        client.txn(Txn::new().and_then(&*puts)).await.expect("txn");
    }
    assert_eq!(next(&mut stream).await.events().len(), VALUES);
    let first = next(&mut stream).await;
    let second = next(&mut stream).await;
    assert!(!first.events().is_empty() && !second.events().is_empty());
    assert_eq!(first.events().len() + second.events().len(), VALUES);
    assert_eq!((first.watch_id(), second.watch_id()), (id, id));
    assert_eq!(revision(&first), revision(&second));
    for (i, event) in first.events().iter().chain(second.events()).enumerate() {
        assert_eq!(event.kv().expect("every event has a key").key(), format!("{prefix}{i:02}").as_bytes());
    }
}

/// Many times the buffers between a server and a client that does not read.
const UNREAD: usize = 500;

/// Puts a key of the prefix [`UNREAD`] times, with 40 kB each. Returns the first revision.
async fn write_much(server: &Server, prefix: &str) -> i64 {
    let mut writer = server.connect().await;
    let (key, value) = (format!("{prefix}a"), "x".repeat(40_000));
    let base = put(&mut writer, &key, &value).await;
    for _ in 1..UNREAD {
        put(&mut writer, &key, &value).await;
    }
    base
}

fn nth(base: i64, i: usize) -> i64 {
    base + i64::try_from(i).expect("small")
}

/// A client that does not read for a long while does not delay other clients, and misses nothing.
async fn slow_reader(server: &Server, prefix: &str) {
    let mut streams = Vec::new();
    for _ in 0..4 {
        // Streams of one connection share its window: unread data of one would block the others.
        let mut client = server.connect().await;
        // In one piece, the pending events are larger than the 4 MiB that tonic accepts.
        let options = WatchOptions::new().with_prefix().with_fragment();
        let mut stream = client.watch(prefix, Some(options)).await.expect("watch");
        let id = created(&mut stream).await;
        streams.push((id, stream));
    }
    let base = write_much(server, prefix).await;
    for (id, stream) in &mut streams {
        for (i, event) in events(stream, *id, UNREAD).await.iter().enumerate() {
            assert_eq!(mod_revision(event), nth(base, i));
        }
    }
}

/// A client that does not read until its next revision is compacted gets the revision from which it can go on.
async fn overtaken_by_compaction(server: &Server, prefix: &str) {
    let mut client = server.connect().await;
    let options = WatchOptions::new().with_prefix().with_fragment();
    let mut stream = client.watch(prefix, Some(options)).await.expect("watch");
    let id = created(&mut stream).await;
    let base = write_much(server, prefix).await;
    let last = nth(base, UNREAD - 1);
    server.connect().await.compact(last, None).await.expect("compact");
    let mut seen = 0;
    loop {
        let response = next(&mut stream).await;
        assert_eq!(response.watch_id(), id);
        for event in response.events() {
            assert_eq!(mod_revision(event), nth(base, seen));
            seen += 1;
        }
        if response.canceled() {
            assert_eq!((response.compact_revision(), response.cancel_reason()), (last, ""));
            break;
        }
    }
    assert!(seen < UNREAD, "everything was seen");
}

async fn compacted(server: &Server, prefix: &str) {
    let mut client = server.connect().await;
    let key = format!("{prefix}a");
    let base = put(&mut client, &key, "1").await;
    put(&mut client, &key, "2").await;
    let last = put(&mut client, &key, "3").await;
    client.compact(last, Some(CompactionOptions::new().with_physical())).await.expect("compact");
    let options = WatchOptions::new().with_start_revision(base);
    let mut stream = client.watch(&*key, Some(options)).await.expect("watch");
    let id = created(&mut stream).await;
    let canceled = next(&mut stream).await;
    assert!(canceled.canceled() && canceled.watch_id() == id, "{canceled:?}");
    assert_eq!((canceled.compact_revision(), revision(&canceled)), (last, 0));
    assert_eq!(canceled.cancel_reason(), "");
    // The stream goes on, and the compact revision itself can still be watched.
    stream.watch(&*key, Some(WatchOptions::new().with_start_revision(last))).await.expect("watch");
    let id = created(&mut stream).await;
    assert_eq!(lines(last, prefix, &events(&mut stream, id, 1).await), ["+0 put a=3"]);
}
