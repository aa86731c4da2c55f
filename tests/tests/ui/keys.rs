//! The view of keys, and of one key with its history.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Browser, Caller, Cluster as _};
use serde_json::Value;

use crate::support::{assert_quiet, put, put_with, view, with_browser};

/// The texts of the first cells of a table, joined by `|`.
async fn first_cells(browser: &mut Browser, table: &str) -> String {
    let cells = format!(
        "[...document.querySelectorAll('table[aria-label={table}] tbody tr')].map((it) => it.cells[0].textContent).join('|')"
    );
    browser.value(&cells).await.as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn keys_are_shown_like_files_in_folders() {
    let Some((server, mut browser)) = with_browser("the view of keys", &[]).await else { return };
    for n in 0..150 {
        put(&server, format!("/registry/pods/a/{n:03}"), "x").await;
    }
    for key in ["/registry/nodes/n1", "/registry/nodes/n2", "single", "dir/", "dir/x"] {
        put(&server, key, "x").await;
    }
    browser.open(&view(&server, "keys")).await;
    browser.until_shown("155 keys").await;
    assert_eq!(first_cells(&mut browser, "Keys").await, "/registry/|dir/|single");
    browser.value("document.querySelector('tbody a').click()").await;
    browser.until_shown("152 keys").await;
    assert_eq!(first_cells(&mut browser, "Keys").await, "nodes/|pods/");
    let count = "document.querySelectorAll('table[aria-label=Keys] tbody tr')[1].cells[1].textContent";
    assert_eq!(browser.value(count).await, "150");
    // A long list has pages.
    browser.open(&view(&server, "keys?prefix=/registry/pods/a/")).await;
    browser.until_shown("150 keys").await;
    browser.until("document.querySelectorAll('tbody tr').length === 100").await;
    browser
        .value("[...document.querySelectorAll('a')].find((it) => it.textContent.startsWith('Next')).click()")
        .await;
    browser.until("document.querySelectorAll('tbody tr').length === 50").await;
    assert!(first_cells(&mut browser, "Keys").await.starts_with("100|101|"));
    // Requests for a list do not grow with the keys in its folders.
    let before = browser.requests().len();
    browser.open(&view(&server, "keys?prefix=/registry/")).await;
    browser.until_shown("152 keys").await;
    let requests = browser.requests()[before..].iter().filter(|url| url.ends_with("/v3/kv/range")).count();
    assert!(requests < 10, "{requests}");
    assert_quiet(&server, &browser);
}

#[tokio::test]
async fn a_key_that_is_put_appears() {
    let Some((server, mut browser)) = with_browser("a put in the view of keys", &[]).await else { return };
    browser.open(&view(&server, "keys")).await;
    browser.until_shown("No key begins with this prefix.").await;
    put(&server, "new", "1").await;
    browser.until("document.querySelector('tbody a')?.textContent === 'new'").await;
    browser.until_shown("1 key at revision 2").await;
    let delete = pb::DeleteRangeRequest { key: "new".into(), ..Default::default() };
    Caller::of(&server.endpoint()).call(delete).await.expect("it serves deletes");
    browser.until_shown("No key begins with this prefix.").await;
    assert_quiet(&server, &browser);
}

#[tokio::test]
async fn sizes_of_prefixes_are_counted_or_estimated() {
    let Some((server, mut browser)) = with_browser("sizes of prefixes", &[]).await else { return };
    for n in 0..40 {
        put(&server, format!("many/{n:02}"), "x".repeat(93)).await;
    }
    put(&server, "few/1", "x".repeat(1019)).await;
    for n in 0..4 {
        put(&server, format!("long/{n}"), "x".repeat(500_000)).await;
    }
    browser.open(&view(&server, "keys")).await;
    browser.until_shown("45 keys").await;
    browser.click("Measure sizes").await;
    let sizes = "[...document.querySelectorAll('tbody tr')].map((it) => it.cells[2].textContent).join('|')";
    // 40 × (7 + 93) bytes; values of more than a megabyte are not read to their end.
    browser.until(&format!("{sizes} === '1 KiB|long values|about 3.91 KiB'")).await;
    assert_quiet(&server, &browser);
}

#[tokio::test]
async fn history_has_every_revision_down_to_the_creation() {
    let Some((server, mut browser)) = with_browser("the history of a key", &[]).await else { return };
    for n in 1..=30 {
        put(&server, "config", format!("level={n}")).await;
        put(&server, "other", "x").await;
    }
    browser.open(&view(&server, "keys?key=config")).await;
    // Twenty revisions before the newest, then the rest on demand.
    browser.until("document.querySelectorAll('table[aria-label=History] tbody tr').length === 21").await;
    browser.until("document.querySelector('pre').textContent === 'level=30'").await;
    browser.click("Older").await;
    browser.until_shown("Created at revision 2").await;
    let expected: Vec<String> = (1..=30).rev().map(|n| (2 * n).to_string()).collect();
    assert_eq!(first_cells(&mut browser, "History").await, expected.join("|"));
    // The value of an older revision.
    browser.click("level=7").await;
    browser.until("document.querySelector('pre').textContent === 'level=7'").await;
    // A newer one comes on top, and what is looked at stays.
    put(&server, "config", "level=31").await;
    browser.until("document.querySelectorAll('table[aria-label=History] tbody tr').length === 31").await;
    assert_eq!(browser.value("document.querySelector('pre').textContent").await, "level=7");
    assert_quiet(&server, &browser);
}

#[tokio::test]
async fn an_open_history_does_not_grow_by_itself() {
    let Some((server, mut browser)) = with_browser("a long history", &[]).await else { return };
    for n in 1..=230 {
        put(&server, "config", n.to_string()).await;
    }
    browser.open(&view(&server, "keys?key=config")).await;
    let rows = "document.querySelectorAll('table[aria-label=History] tbody tr').length";
    for n in (21..=201).step_by(20) {
        browser.until(&format!("{rows} === {n}")).await;
        browser.click("Older").await;
    }
    browser.until(&format!("{rows} === 221")).await;
    put(&server, "config", "new").await;
    browser.until(&format!("{rows} === 200")).await;
    browser.click("Older").await;
    browser.until(&format!("{rows} === 220")).await;
    assert_quiet(&server, &browser);
}

#[tokio::test]
async fn names_that_are_no_texts_are_cut_at_the_prefix() {
    let Some((server, mut browser)) = with_browser("names of bytes", &[]).await else { return };
    put(&server, b"gr\xc3\xb6/\xff", "x").await;
    browser.open(&view(&server, "keys?prefix=gr%C3%B6/")).await;
    browser.until_shown("1 key at").await;
    assert_eq!(first_cells(&mut browser, "Keys").await, r"\xff");
    assert_quiet(&server, &browser);
}

#[tokio::test]
async fn history_ends_at_a_compaction() {
    let Some((server, mut browser)) = with_browser("a compacted history", &[]).await else { return };
    for n in 1..=4 {
        put(&server, "a", n.to_string()).await;
    }
    let compaction = pb::CompactionRequest { revision: 4, physical: true };
    Caller::of(&server.endpoint()).call(compaction).await.expect("it compacts");
    browser.open(&view(&server, "keys?key=a")).await;
    browser.until_shown("What was before is compacted.").await;
    assert_eq!(first_cells(&mut browser, "History").await, "5|4");
}

/// What would run if a text became markup: it renames the page.
const HOSTILE: [&str; 4] = [
    "<img src=x onerror=\"document.title='owned'\">",
    "\"'><script>document.title='owned'</script>",
    "javascript:document.title='owned'",
    "__proto__",
];

#[tokio::test]
async fn hostile_keys_and_values_are_texts() {
    let Some((server, mut browser)) = with_browser("hostile keys and values", &[]).await else { return };
    let lease = pb::LeaseGrantRequest { ttl: 600, id: 0 };
    let lease = Caller::of(&server.endpoint()).call(lease).await.expect("it grants leases").id;
    for hostile in HOSTILE {
        put_with(&server, hostile, hostile, lease).await;
    }
    // A text that reads backwards, and one that is none.
    put(&server, "right\u{202e}left", "a\u{202e}b\u{0}c").await;
    put(&server, b"raw\xff\x00", (0..=255).collect::<Vec<u8>>()).await;
    browser.open(&view(&server, "keys")).await;
    browser.until_shown("6 keys").await;
    for hostile in HOSTILE {
        let text = Value::from(hostile);
        browser.value(&format!("location.hash = '#keys?' + new URLSearchParams({{key: {text}}})")).await;
        browser.until(&format!("document.querySelector('#key h2')?.textContent === {text}")).await;
        browser.until(&format!("document.querySelector('pre').textContent === {text}")).await;
    }
    for (key, value) in [(r"right\u{202e}left", r"a\u{202e}b\u{0}c"), (r"raw\xff\x00", "000000  00 01 02 03")]
    {
        let link = format!(
            "[...document.querySelectorAll('tbody a')].find((it) => it.textContent === {})",
            Value::from(key)
        );
        browser.value(&format!("{link}.click()")).await;
        browser
            .until(&format!("document.querySelector('pre').textContent.startsWith({})", Value::from(value)))
            .await;
    }
    for name in ["watch?prefix=", "leases"] {
        browser.open(&view(&server, name)).await;
        if name == "leases" {
            browser.until("document.querySelectorAll('tbody a').length === 4").await;
        } else {
            browser.until_shown("Watching all keys").await;
            for hostile in HOSTILE {
                put_with(&server, hostile, hostile, lease).await;
            }
            browser.until("document.querySelectorAll('tbody a').length === 4").await;
        }
        assert_eq!(browser.value("document.title").await, "ferretcd");
        assert_eq!(browser.value("document.querySelectorAll('img, script, iframe').length").await, 2);
    }
    assert_quiet(&server, &browser);
}

#[tokio::test]
async fn values_are_decoded() {
    let Some((server, mut browser)) = with_browser("decoded values", &[]).await else { return };
    let mut check = async |key: &str, value: &[u8], kind: &str, shown: &str| {
        put(&server, key, value).await;
        browser.open("about:blank").await;
        browser.open(&view(&server, &format!("keys?key={key}"))).await;
        browser.until(&format!("document.querySelector('#key dd')?.textContent === '{kind}'")).await;
        browser
            .until(&format!("document.querySelector('pre').textContent.includes({})", Value::from(shown)))
            .await;
    };
    check("text", "größe\n".as_bytes(), "text", "größe\n").await;
    check("empty", b"", "text", "").await;
    check("bytes", b"\xff\x00", "bytes", "000000  ff 00").await;
    check(
        "json",
        br#"{"n":12345678901234567890,"s":"a{b","e":[]}"#,
        "JSON",
        "{\n  \"n\": 12345678901234567890,\n  \"s\": \"a{b\",\n  \"e\": []\n}",
    )
    .await;
    check("no-json", br#"{"n":"#, "text", r#"{"n":"#).await;
    let deep = "[".repeat(20_000) + &"]".repeat(20_000);
    check("deep", deep.as_bytes(), "JSON", "... and more").await;
    // runtime.Unknown: its type, and an object whose metadata has name and namespace.
    let object = b"\x0a\x0d\x0a\x03web\x1a\x06prod-a";
    let pod = [b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x0f", &object[..]].concat();
    check("pod", &pod, "Kubernetes v1 Pod", "apiVersion: v1\nkind: Pod\nnamespace: prod-a\nname: web\n")
        .await;
    check("no-pod", b"k8s\0\x0a\xff", "bytes", "000000  6b 38 73 00 0a ff").await;
}
