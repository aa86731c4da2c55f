//! Servers, and what is sent to them.

use data_encoding::BASE64;
use ferretcd_tests::{Cluster, Options, report};

use crate::web::{Request, call};

/// Base64.
pub(crate) fn b64(text: &str) -> String {
    BASE64.encode(text.as_bytes())
}

/// A put of a key.
pub(crate) fn put(key: &str, value: &str) -> String {
    format!(r#"{{"key":"{}","value":"{}"}}"#, b64(key), b64(value))
}

/// A range of one key.
pub(crate) fn range(key: &str) -> String {
    format!(r#"{{"key":"{}"}}"#, b64(key))
}

/// The request for a watch of one key, with further fields.
pub(crate) fn watch(key: &str, fields: &str) -> String {
    format!(r#"{{"create_request":{{"key":"{}"{fields}}}}}"#, b64(key))
}

/// A server without flags; `None` if it is not available on this machine, which is reported.
pub(crate) async fn start<C: Cluster>(what: &str) -> Option<C> {
    if report::available::<C>(what) { Some(start_with(&[]).await) } else { None }
}

pub(crate) async fn start_with<C: Cluster>(flags: &[&str]) -> C {
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    C::start(&Options { flags }).await.unwrap_or_else(|error| panic!("failed to {error}"))
}

/// Enables authentication with the user root, whose password is root.
pub(crate) async fn enable_auth(url: &str) {
    for (path, body) in [
        ("user/add", r#"{"name":"root","password":"root"}"#),
        ("role/add", r#"{"name":"root"}"#),
        ("user/grant", r#"{"user":"root","role":"root"}"#),
        ("enable", "{}"),
    ] {
        let response = call(url, Request::post(&format!("/v3/auth/{path}"), body)).await;
        assert_eq!(response.head.status, 200, "{path}: {}", response.text());
    }
}

/// A token of root.
pub(crate) async fn authenticate(url: &str) -> String {
    let request = Request::post("/v3/auth/authenticate", r#"{"name":"root","password":"root"}"#);
    let response = call(url, request).await.json();
    response["token"].as_str().unwrap_or_else(|| panic!("no token: {response}")).to_owned()
}
