//! Which keys a user may read and write.

use ferretcd_api_proto::authpb::permission::Type::{self, Read, Readwrite, Write};
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Caller, Cluster};

use crate::support::requests::{
    OPEN, delete, delete_prev, put, put_prev, range, role_revoke, user_grant, user_revoke, watch,
};
use crate::support::setup::user_with;
use crate::support::texts::{DENIED, OK};
use crate::support::{ends, grant, outcome, role, root, started};

on_both! {
    intervals_are_united => intervals(),
    an_interval_is_open_or_not => open_ended(),
    single_keys_open_no_interval => single_keys(),
    reading_and_writing_are_apart => kinds(),
    rights_change_at_once => changes(),
    previous_values_are_reads => previous(),
}

/// What a user with some permissions may read: the intervals, and whether it may.
async fn may_read(root: &Caller, name: &str, granted: &[(&str, &str)], cases: &[(&str, &str, bool)]) {
    let granted: Vec<(Type, &str, &str)> = granted.iter().map(|(key, end)| (Read, *key, *end)).collect();
    let user = user_with(root, name, &granted).await;
    for (key, end, is_allowed) in cases {
        let expected = if *is_allowed { OK } else { DENIED };
        let response = user.call(range(key, end)).await;
        assert_eq!(outcome(&response), expected, "{granted:?}: [{key:?}, {end:?})");
        assert_eq!(watched(&user, key, end).await, *is_allowed, "{granted:?}: watch [{key:?}, {end:?})");
    }
}

/// Whether a watch is created.
async fn watched(user: &Caller, key: &str, end: &str) -> bool {
    let mut stream = user.watch();
    stream.create(watch(key, end)).await;
    !stream.response().await.canceled
}

async fn intervals<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("intervals").await else { return };
    let root = root(&caller).await;
    may_read(
        &root,
        "one",
        &[("b", "d")],
        &[
            ("b", "", true),
            ("c\u{7f}", "", true),
            ("d", "", false),
            ("a", "", false),
            ("b", "d", true),
            ("b", "d\0", false),
            ("a\u{7f}", "c", false),
            ("b", OPEN, false),
            (OPEN, OPEN, false),
            ("b\0", "c", true),
        ],
    )
    .await;
    // Intervals that touch or overlap are as good as one.
    may_read(
        &root,
        "touching",
        &[("a", "c"), ("c", "e"), ("d", "g")],
        &[("a", "g", true), ("b", "f", true), ("a", "g\0", false)],
    )
    .await;
    // A single key fills the gap between two intervals only if no key is between.
    may_read(&root, "gap", &[("a", "c"), ("c\0", "e")], &[("a", "e", false), ("c", "", false)]).await;
    may_read(&root, "filled", &[("a", "c"), ("c", ""), ("c\0", "e")], &[("a", "e", true), ("c", "", true)])
        .await;
    may_read(
        &root,
        "apart",
        &[("a", "c"), ("d", "e")],
        &[("a", "e", false), ("b", "d", false), ("d", "e", true)],
    )
    .await;
}

async fn open_ended<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("open intervals").await else { return };
    let root = root(&caller).await;
    may_read(
        &root,
        "open",
        &[("b", OPEN)],
        &[
            ("b", "", true),
            ("b", OPEN, true),
            ("zzz", OPEN, true),
            ("b", "z", true),
            ("a", OPEN, false),
            (OPEN, OPEN, false),
        ],
    )
    .await;
    may_read(
        &root,
        "everything",
        &[(OPEN, OPEN)],
        &[(OPEN, OPEN, true), ("b", OPEN, true), ("\0\0", "", true)],
    )
    .await;
    // As far as bytes of text go.
    may_read(
        &root,
        "nearly",
        &[(OPEN, "\u{10ffff}")],
        &[("z", "", true), ("b", OPEN, false), (OPEN, OPEN, false)],
    )
    .await;
    may_read(&root, "both", &[("a", "c"), ("b", OPEN)], &[("a", OPEN, true), ("a", "z", true)]).await;
}

async fn single_keys<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("single keys").await else { return };
    let root = root(&caller).await;
    may_read(
        &root,
        "key",
        &[("a", "")],
        &[
            ("a", "", true),
            ("a", "a\0", true),
            ("a", "b", false),
            ("a", OPEN, false),
            ("a\0", "", false),
            (OPEN, OPEN, false),
        ],
    )
    .await;
    may_read(&root, "last", &[("\u{7f}", "")], &[("\u{7f}", "", true), ("\u{7f}", OPEN, false)]).await;
    may_read(&root, "neighbours", &[("a", ""), ("a\0", "")], &[("a", "a\0\0", true), ("a", "a\0", true)])
        .await;
}

async fn kinds<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("kinds of permissions").await else { return };
    let root = root(&caller).await;
    let reader = user_with(&root, "reader", &[(Read, "a", "c")]).await;
    let writer = user_with(&root, "writer", &[(Write, "a", "c")]).await;
    let both = user_with(&root, "both", &[(Readwrite, "a", "c")]).await;
    let mixed = user_with(&root, "mixed", &[(Read, "a", "c"), (Write, "b", "d")]).await;
    for (user, reads, writes) in [(&reader, OK, DENIED), (&writer, DENIED, OK), (&both, OK, OK)] {
        ends(user.call(range("a", "c")).await, reads);
        ends(user.call(put("a")).await, writes);
        ends(user.call(delete("a", "c")).await, writes);
    }
    ends(mixed.call(put("a")).await, DENIED);
    ends(mixed.call(put("b")).await, OK);
    ends(mixed.call(put("c")).await, OK);
    ends(mixed.call(range("c", "")).await, DENIED);
    ends(mixed.call(delete("a", "c")).await, DENIED);
    ends(mixed.call(delete("b", "d")).await, OK);
    // Serializable and linearizable reads need the same.
    let serializable = pb::RangeRequest { serializable: true, ..range("a", "") };
    ends(writer.call(serializable.clone()).await, DENIED);
    ends(reader.call(serializable).await, OK);
    ends(writer.range_stream(range("a", "c")).await, DENIED);
    ends(reader.range_stream(range("a", "c")).await, OK);
}

async fn changes<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("changes of rights").await else { return };
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[]).await;
    role(&root, "other", &[(Write, "a", "")]).await;
    ends(alice.call(put("a")).await, DENIED);
    grant(&root, "alice", Write, "a", "").await;
    ends(alice.call(put("a")).await, OK);
    grant(&root, "alice", Read, "a", "").await;
    ends(alice.call(put("a")).await, DENIED);
    root.call(user_grant("alice", "other")).await.expect("both exist");
    ends(alice.call(put("a")).await, OK);
    root.call(role_revoke("other", "a", "")).await.expect("it is granted");
    ends(alice.call(put("a")).await, DENIED);
    grant(&root, "other", Write, "a", "").await;
    root.call(user_revoke("alice", "other")).await.expect("it is granted");
    ends(alice.call(put("a")).await, DENIED);
    ends(alice.call(range("a", "")).await, OK);
}

async fn previous<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("previous values").await else { return };
    let root = root(&caller).await;
    let writer = user_with(&root, "writer", &[(Write, "a", "c"), (Read, "b", "")]).await;
    root.call(put("a")).await.expect("root may put");
    root.call(put("b")).await.expect("root may put");
    ends(writer.call(put_prev("a")).await, DENIED);
    let read = writer.call(put_prev("b")).await.expect("it may read b");
    assert!(read.prev_kv.is_some());
    ends(writer.call(delete_prev("a", "")).await, DENIED);
    ends(writer.call(delete_prev("a", "c")).await, DENIED);
    ends(writer.call(delete_prev("b", "")).await, OK);
    // What was denied has changed nothing.
    assert_eq!(root.call(range("a", "")).await.expect("root may read").count, 1);
    ends(writer.call(delete("a", "c")).await, OK);
}
