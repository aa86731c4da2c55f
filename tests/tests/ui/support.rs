//! Servers with their page open.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Browser, Caller, Cluster, Ferretcd, Options, Process};

/// The server whose page is looked at.
pub(crate) type Server = Process<Ferretcd>;

/// A server with these flags.
pub(crate) async fn start(flags: &[&str]) -> Server {
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Server::start(&Options { flags }).await.unwrap_or_else(|error| panic!("failed to {error}"))
}

/// A server and a browser; `None` if there is no browser, which is reported as `what` that was skipped.
pub(crate) async fn with_browser(what: &str, flags: &[&str]) -> Option<(Server, Browser)> {
    let browser = Browser::start(what, &[]).await?;
    Some((start(flags).await, browser))
}

/// The URL of a view, such as `cluster`.
pub(crate) fn view(server: &Server, view: &str) -> String {
    format!("{}/ui/#{view}", server.endpoint())
}

/// Puts a key and returns the revision.
pub(crate) async fn put(server: &Server, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> i64 {
    put_with(server, key, value, 0).await
}

/// Puts a key with a lease and returns the revision.
pub(crate) async fn put_with(
    server: &Server,
    key: impl Into<Vec<u8>>,
    value: impl Into<Vec<u8>>,
    lease: i64,
) -> i64 {
    let request =
        pb::PutRequest { key: key.into().into(), value: value.into().into(), lease, ..Default::default() };
    let response = Caller::of(&server.endpoint()).call(request).await.expect("it serves puts");
    response.header.expect("every response has a header").revision
}

/// Nothing was wrong with the page, and it spoke to the member alone.
pub(crate) fn assert_quiet(server: &Server, browser: &Browser) {
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
    assert_own(server, browser);
}

/// The page spoke to the member alone.
pub(crate) fn assert_own(server: &Server, browser: &Browser) {
    let own = format!("{}/", server.endpoint());
    let foreign: Vec<_> = browser.requests().iter().filter(|url| !url.starts_with(&own)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert!(browser.requests().iter().any(|url| url.contains("/v3/")), "{:?}", browser.requests());
}
