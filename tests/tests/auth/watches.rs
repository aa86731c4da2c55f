//! Rights that watches need when they are created.

use ferretcd_api_proto::authpb::permission::Type::{Read, Write};
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Cluster, NO_WATCH, WatchStream};

use crate::support::requests::{OPEN, put, watch};
use crate::support::setup::user_with;
use crate::support::texts::{BAD_TOKEN, DENIED, NO_USER, as_reason};
use crate::support::{root, started};

on_both! {
    a_denied_watch_has_the_reason => denied(),
    others_of_the_stream_go_on => others(),
    the_form_is_checked_before_the_right => form(),
}

/// Requests a watch that is denied, with this error in the reason.
async fn is_denied(stream: &mut WatchStream, create: pb::WatchCreateRequest, error: &str) {
    stream.create(create).await;
    let response = stream.response().await;
    assert_eq!(response.cancel_reason, as_reason(error), "{response:?}");
    assert!(response.created && response.canceled, "{response:?}");
    assert_eq!((response.watch_id, response.compact_revision), (NO_WATCH, 0), "{response:?}");
    assert!(response.events.is_empty() && response.revision() > 0, "{response:?}");
}

async fn denied<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("denied watches").await else { return };
    let root = root(&caller).await;
    let reader = user_with(&root, "reader", &[(Read, "a", "c")]).await;
    let writer = user_with(&root, "writer", &[(Write, "a", "c")]).await;
    is_denied(&mut caller.watch(), watch("a", ""), NO_USER).await;
    is_denied(&mut caller.with_token("garbage").watch(), watch("a", ""), BAD_TOKEN).await;
    is_denied(&mut writer.watch(), watch("a", ""), DENIED).await;
    let mut stream = reader.watch();
    for (key, end) in [("d", ""), ("a", "d"), ("a", OPEN), (OPEN, OPEN), ("", "")] {
        is_denied(&mut stream, watch(key, end), DENIED).await;
    }
    // The id that was requested is not taken by a denied watch.
    let numbered = pb::WatchCreateRequest { watch_id: 7, ..watch("d", "") };
    is_denied(&mut stream, numbered, DENIED).await;
    let numbered = pb::WatchCreateRequest { watch_id: 7, ..watch("a", "c") };
    assert_eq!(stream.created(numbered).await.watch_id, 7);
}

async fn others<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("a denied watch among others").await else { return };
    let root = root(&caller).await;
    let reader = user_with(&root, "reader", &[(Read, "a", "c")]).await;
    let mut stream = reader.watch();
    let first = stream.created(watch("a", "")).await.watch_id;
    is_denied(&mut stream, watch("d", ""), DENIED).await;
    let second = stream.created(watch("b", "")).await.watch_id;
    root.call(put("d")).await.expect("root may put");
    for (key, id) in [("a", first), ("b", second)] {
        root.call(put(key)).await.expect("root may put");
        let response = stream.response().await;
        assert_eq!((response.watch_id, response.events.len()), (id, 1), "{response:?}");
    }
}

async fn form<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("the form of watches").await else { return };
    root(&caller).await;
    let mut stream = caller.watch();
    stream.create(pb::WatchCreateRequest { start_revision: -1, ..watch("a", "") }).await;
    let response = stream.response().await;
    assert_eq!(response.cancel_reason, "etcdserver: mvcc: required revision has been compacted");
    is_denied(&mut stream, watch("c", "a"), NO_USER).await;
}
