//! The view of changes.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Caller, Cluster as _};
use serde_json::json;

use crate::support::{assert_quiet, put, view, with_browser};

#[tokio::test]
async fn changes_are_shown_as_they_come() {
    let Some((server, mut browser)) = with_browser("the view of changes", &[]).await else { return };
    put(&server, "a/before", "x").await;
    browser.open(&view(&server, "watch")).await;
    browser.value("document.querySelector('main input').focus()").await;
    browser.type_text("a/").await;
    browser.click("Start").await;
    browser.until_shown("Watching keys that begin with a/").await;
    put(&server, "b/other", "x").await;
    put(&server, "a/1", "hello").await;
    browser.until_shown("hello").await;
    let delete = pb::DeleteRangeRequest { key: "a/1".into(), ..Default::default() };
    Caller::of(&server.endpoint()).call(delete).await.expect("it serves deletes");
    let rows = "[...document.querySelectorAll('tbody tr')].map((it) => [0, 1, 2].map((at) => it.cells[at].textContent).join(' ')).join('|')";
    browser.until(&format!("{rows} === '5 delete a/1|4 put a/1'")).await;
    // The field is for the next watch.
    browser.value("document.querySelector('main input').value = 'c/'").await;
    put(&server, "a/1b", "x").await;
    browser.until_shown("3 events").await;
    browser.until_shown("Watching keys that begin with a/").await;
    browser.value("document.querySelector('main input').value = 'a/'").await;
    browser.click("Stop").await;
    browser.until_shown("Stopped.").await;
    put(&server, "a/2", "x").await;
    browser.click("Start").await;
    browser.until_shown("Watching").await;
    put(&server, "a/3", "x").await;
    browser.until(&format!("{rows} === '8 put a/3|6 put a/1b|5 delete a/1|4 put a/1'")).await;
    assert_quiet(&server, &browser);
}

#[tokio::test]
async fn only_the_last_events_are_kept() {
    let Some((server, mut browser)) = with_browser("many changes", &[]).await else { return };
    browser.open(&view(&server, "watch?prefix=")).await;
    browser.until_shown("Watching all keys").await;
    for n in 0..250 {
        put(&server, "a", n.to_string()).await;
    }
    browser.until_shown("250 events, the last 200 shown").await;
    assert_eq!(browser.value("document.querySelectorAll('tbody tr').length").await, 200);
    assert_eq!(browser.value("document.querySelector('tbody tr').cells[0].textContent").await, "251");
}

#[tokio::test]
async fn a_hidden_page_rests() {
    let Some((server, mut browser)) = with_browser("a hidden page", &[]).await else { return };
    browser.open(&view(&server, "watch?prefix=")).await;
    browser.until_shown("Watching all keys").await;
    let watchers = async || {
        let metrics = ferretcd_tests::Metrics::of(&server).await.expect("it has metrics");
        metrics.get("etcd_debugging_mvcc_watcher_total").unwrap_or_default()
    };
    assert_eq!(watchers().await, 1.0);
    // Another page in front of it.
    let other = browser.command("Target.createTarget", json!({"url": "about:blank"})).await;
    browser.until("document.hidden").await;
    browser.until("document.body.textContent.includes('Paused while the page is hidden.')").await;
    put(&server, "a", "unseen").await;
    browser.command("Target.closeTarget", json!({"targetId": other["targetId"]})).await;
    browser.until("!document.hidden").await;
    browser.until_shown("Changes while the page was hidden are not shown.").await;
    browser.until_shown("Watching all keys").await;
    put(&server, "a", "seen").await;
    browser
        .until("[...document.querySelectorAll('tbody tr')].some((it) => it.cells[5].textContent === 'seen')")
        .await;
    assert_eq!(browser.value("document.body.textContent.includes('unseen')").await, false);
}
