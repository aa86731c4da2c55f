//! The page of a member with authentication.

use ferretcd_api_proto::authpb;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Browser, Caller, Cluster as _};

use crate::support::{Server, assert_own, view, with_browser};

/// Adds the users `root` and `reader`, and the right of the second to read what begins with `public/`. Their passwords are
/// their names.
async fn enable(server: &Server) {
    let caller = Caller::of(&server.endpoint());
    for name in ["root", "reader"] {
        let user = pb::AuthUserAddRequest { name: name.into(), password: name.into(), ..Default::default() };
        caller.call(user).await.expect("a user");
        caller.call(pb::AuthRoleAddRequest { name: name.into() }).await.expect("a role");
        let grant = pb::AuthUserGrantRoleRequest { user: name.into(), role: name.into() };
        caller.call(grant).await.expect("a user with a role");
    }
    let perm = authpb::Permission {
        perm_type: authpb::permission::Type::Read.into(),
        key: "public/".into(),
        range_end: "public0".into(),
    };
    let grant = pb::AuthRoleGrantPermissionRequest { name: "reader".into(), perm: Some(perm) };
    caller.call(grant).await.expect("a right");
    let lease = caller.call(pb::LeaseGrantRequest { ttl: 600, id: 0 }).await.expect("a lease").id;
    for (key, lease) in [("public/a", 0), ("secret/a", lease)] {
        let put = pb::PutRequest { key: key.into(), value: "x".into(), lease, ..Default::default() };
        caller.call(put).await.expect("it serves puts");
    }
    caller.call(pb::AuthEnableRequest {}).await.expect("authentication");
}

async fn log_in(browser: &mut Browser, name: &str, password: &str) {
    browser.until("!document.getElementById('login').hidden").await;
    for (field, text) in [("name", name), ("password", password)] {
        browser.value(&format!("document.querySelector('input[name={field}]').focus()")).await;
        browser.value("document.activeElement.select()").await;
        browser.type_text(text).await;
    }
    browser.press("Enter").await;
}

#[tokio::test]
async fn a_user_signs_in_and_out() {
    let Some((server, mut browser)) = with_browser("a login", &[]).await else { return };
    enable(&server).await;
    browser.open(&view(&server, "keys")).await;
    log_in(&mut browser, "root", "wrong").await;
    browser.until_shown("authentication failed, invalid user ID or password").await;
    log_in(&mut browser, "root", "root").await;
    browser.until_shown("2 keys").await;
    // Nothing outlives the page.
    let kept = "localStorage.length + sessionStorage.length + document.cookie.length";
    assert_eq!(browser.value(kept).await, 0);
    assert_eq!(browser.value("document.querySelector('input[name=password]').value").await, "");
    for name in ["cluster", "leases", "watch?prefix="] {
        browser.value(&format!("location.hash = '{name}'")).await;
        let shown = if name == "cluster" {
            "healthy"
        } else if name == "leases" {
            "1 lease."
        } else {
            "Watching all keys"
        };
        browser.until_shown(shown).await;
    }
    browser.click("Sign out").await;
    browser.until("!document.getElementById('login').hidden").await;
    browser.until_gone("Watching").await;
    log_in(&mut browser, "reader", "reader").await;
    browser.value("location.hash = 'keys'").await;
    browser.until_shown("permission denied").await;
    browser.value("location.hash = '#keys?prefix=public/'").await;
    browser.until_shown("1 key at revision").await;
    browser.until_gone("permission denied").await;
    // What was shown before does not stand for what must not be seen.
    browser.value("location.hash = '#keys?prefix=secret/'").await;
    browser.until_shown("permission denied").await;
    assert_eq!(browser.value("document.querySelectorAll('tbody a').length").await, 0);
    browser.open("about:blank").await;
    browser.open(&view(&server, "keys")).await;
    browser.until("!document.getElementById('login').hidden").await;
    assert_own(&server, &browser);
    // Requests that are rejected are all that there is to complain about.
    let is_rejection = |complaint: &&String| complaint.contains("the server responded with a status of");
    assert!(browser.complaints().iter().all(|it| is_rejection(&it)), "{:?}", browser.complaints());
}

#[tokio::test]
async fn a_token_that_ends_brings_the_login_back() {
    let Some((server, mut browser)) = with_browser("a token that ends", &[]).await else { return };
    enable(&server).await;
    browser.open(&view(&server, "keys")).await;
    log_in(&mut browser, "reader", "reader").await;
    browser.value("location.hash = '#keys?prefix=public/'").await;
    browser.until_shown("1 key at revision").await;
    let root = Caller::of(&server.endpoint()).log_in("root", "root").await.expect("a token");
    let change = pb::AuthUserChangePasswordRequest {
        name: "reader".into(),
        password: "new".into(),
        ..Default::default()
    };
    root.call(change).await.expect("another password");
    browser.until("!document.getElementById('login').hidden").await;
    log_in(&mut browser, "reader", "new").await;
    browser.until_shown("1 key at revision").await;
}

#[tokio::test]
async fn leases_that_must_not_be_seen_are_not_said_to_be_none() {
    let Some((server, mut browser)) = with_browser("leases of others", &[]).await else { return };
    enable(&server).await;
    browser.open(&view(&server, "leases")).await;
    log_in(&mut browser, "reader", "reader").await;
    browser.until_shown("permission denied").await;
    let turns =
        |browser: &Browser| browser.requests().iter().filter(|url| url.contains("/v3/lease/")).count();
    let before = turns(&browser);
    while turns(&browser) < before + 3 {
        assert_eq!(browser.value("document.body.textContent.includes('No lease.')").await, false);
    }
}
