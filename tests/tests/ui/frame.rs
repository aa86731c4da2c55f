//! The page on narrow screens and with a keyboard alone, and what its policy keeps out.

use serde_json::json;

use crate::support::{assert_quiet, put, view, with_browser};

#[tokio::test]
async fn narrow_screens_need_no_sideways_scrolling() {
    let Some((server, mut browser)) = with_browser("the page on a narrow screen", &[]).await else { return };
    let key = "a-rather-long-name-without-any-space-in-it-".repeat(4);
    for value in ["x".repeat(500), "[1,2,3]".to_owned()] {
        put(&server, key.as_str(), value).await;
    }
    browser.resize(375, 700).await;
    for (name, shown) in [
        ("cluster", "healthy"),
        ("keys", "1 key at"),
        (&*format!("keys?key={key}"), "Created at revision"),
        ("watch?prefix=", "Watching all keys"),
        ("leases", "0 leases."),
    ] {
        browser.open(&view(&server, name)).await;
        browser.until_shown(shown).await;
        if name.starts_with("watch") {
            put(&server, key.as_str(), "x".repeat(500)).await;
            browser.until("document.querySelectorAll('tbody a').length > 0").await;
        }
        let width = "document.documentElement.scrollWidth";
        assert_eq!(browser.value(width).await, 375, "{name}");
        // Nor do parts of it.
        let parts =
            "[...document.querySelectorAll('.scroll')].every((it) => it.scrollWidth <= it.clientWidth)";
        assert_eq!(browser.value(parts).await, true, "{name}");
    }
    assert_quiet(&server, &browser);
}

#[tokio::test]
async fn keys_are_reached_and_opened_with_the_keyboard() {
    let Some((server, mut browser)) = with_browser("the page with a keyboard", &[]).await else { return };
    for key in ["a", "b", "c"] {
        put(&server, key, format!("value of {key}")).await;
    }
    browser.open(&view(&server, "keys")).await;
    browser.until_shown("3 keys").await;
    // Into the field by its key, from there by tabs to the list.
    browser.press("/").await;
    browser.until("document.activeElement.name === 'prefix'").await;
    assert_eq!(browser.value("document.activeElement.value").await, "");
    let is_in_list = "document.activeElement.closest('tbody') !== null";
    for _ in 0..6 {
        if browser.value(is_in_list).await == true {
            break;
        }
        browser.press("Tab").await;
    }
    assert_eq!(browser.value("document.activeElement.textContent").await, "a");
    let outline = "getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(browser.value(outline).await, "solid", "the focus is seen");
    browser.press("ArrowDown").await;
    browser.press("ArrowDown").await;
    browser.press("ArrowUp").await;
    browser.press("Enter").await;
    browser.until("document.querySelector('pre')?.textContent === 'value of b'").await;
    // What is new does not take the focus away.
    put(&server, "aa", "x").await;
    browser.until_shown("4 keys").await;
    assert_eq!(browser.value("document.activeElement.textContent").await, "b");
    assert_quiet(&server, &browser);
}

#[tokio::test]
async fn the_policy_keeps_scripts_and_strangers_out() {
    let Some((server, mut browser)) = with_browser("the policy of the page", &[]).await else { return };
    browser.open(&view(&server, "cluster")).await;
    browser.until_shown("healthy").await;
    assert_quiet(&server, &browser);
    for (attempt, error) in [
        ("document.body.innerHTML = '<b>'", "TrustedHTML"),
        ("document.createElement('script').text = 'x'", "TrustedScript"),
        ("setTimeout('x')", "TrustedScript"),
    ] {
        // As a script of the page, not of the tools.
        let run = json!(format!(
            "(async () => {{ try {{ await ({attempt}); return 'done'; }} catch (error) {{ return error.message; }} }})()"
        ));
        let outcome = browser.value(run.as_str().expect("a text")).await;
        assert!(outcome.as_str().is_some_and(|text| text.contains(error)), "{attempt}: {outcome}");
    }
    browser
        .value("document.addEventListener('securitypolicyviolation', (it) => { window.kept = it.effectiveDirective; })")
        .await;
    browser.value("fetch('http://other.invalid/').catch(() => {})").await;
    browser.until("window.kept === 'connect-src'").await;
    let inline = "(() => { const it = document.createElement('div'); it.setAttribute('style', 'color: red'); \
                  return it.style.color; })()";
    assert_eq!(browser.value(inline).await, "", "styles come from the file alone");
}
