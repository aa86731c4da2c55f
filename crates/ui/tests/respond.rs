//! Requests for the page, and their responses.

use ferretcd_ui::{Reach, Ui};
use http::header::{ALLOW, CONTENT_TYPE, ETAG, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Parts {
    let request =
        headers.iter().fold(Request::builder().method(method).uri(path), |request, (name, value)| {
            request.header(*name, *value)
        });
    request.body(()).expect("a well-formed request").into_parts().0
}

/// The response to a request that comes from this machine.
fn call(method: Method, path: &str, headers: &[(&str, &str)]) -> Response<&'static [u8]> {
    let ui = Ui::new(Reach::Loopback).expect("it is on");
    let headers = [&[("host", "127.0.0.1:2379")], headers].concat();
    ui.respond(&request(method, path, &headers), true)
}

fn get(path: &str) -> Response<&'static [u8]> {
    call(Method::GET, path, &[])
}

#[test]
fn files_have_their_types() {
    for (path, expected) in [
        ("/ui/", "text/html; charset=utf-8"),
        ("/ui/style.css", "text/css; charset=utf-8"),
        ("/ui/main.js", "text/javascript; charset=utf-8"),
        ("/ui/icon.svg", "image/svg+xml"),
    ] {
        let response = get(path);
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()[CONTENT_TYPE], expected, "{path}");
        assert!(!response.body().is_empty(), "{path}");
    }
}

#[test]
fn all_other_paths_are_unknown() {
    for path in ["/ui/index.html", "/ui/nope", "/ui//", "/ui/style.css/", "/ui/../ui/"] {
        let response = get(path);
        assert_eq!(
            (response.status().as_u16(), *response.body()),
            (404, &b"404 page not found\n"[..]),
            "{path}"
        );
    }
    let response = get("/ui");
    assert_eq!(
        (response.status().as_u16(), &response.headers()[LOCATION]),
        (307, &HeaderValue::from_static("/ui/"))
    );
    for (path, is_of_the_page) in
        [("/ui", true), ("/ui/x", true), ("/uix", false), ("/", false), ("/UI/", false)]
    {
        assert_eq!(Ui::has_path(&path.parse().expect("a path")), is_of_the_page, "{path}");
    }
}

#[test]
fn the_page_is_only_read() {
    assert_eq!(call(Method::HEAD, "/ui/", &[]).status(), 200);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let response = call(method.clone(), "/ui/", &[]);
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(response.headers()[ALLOW], "GET, HEAD", "{method}");
    }
}

#[test]
fn a_file_that_the_browser_has_is_not_sent_again() {
    let tag = get("/ui/main.js").headers()[ETAG].clone();
    assert_ne!(tag, get("/ui/style.css").headers()[ETAG]);
    let tag = tag.to_str().expect("digits");
    for (known, status) in [
        (tag, 304),
        ("*", 304),
        (&format!("\"a\", W/{tag}"), 304),
        ("\"a\"", 200),
        (&tag[1..], 200),
        ("", 200),
    ] {
        let response = call(Method::GET, "/ui/main.js", &[("if-none-match", known)]);
        assert_eq!(response.status(), status, "{known}");
        assert_eq!(response.body().is_empty(), status == 304, "{known}");
        assert_eq!(response.headers()[ETAG], tag, "{known}");
    }
}

#[test]
fn responses_protect_the_page() {
    let rejected =
        Ui::new(Reach::Loopback).expect("it is on").respond(&request(Method::GET, "/ui/", &[]), false);
    for response in [get("/ui/"), get("/ui/main.js"), get("/ui/nope"), get("/ui"), rejected] {
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().expect("a text");
        for rule in
            ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for"]
        {
            assert!(policy.contains(rule), "{rule}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
}

#[test]
fn reach_decides_about_connections_and_names() {
    fn check(reach: Reach, is_local: bool, host: &str, expected: u16) {
        let request = request(Method::GET, "/ui/main.js", &[("host", host)]);
        let response = Ui::new(reach).expect("it is on").respond(&request, is_local);
        assert_eq!(response.status(), expected, "{reach:?} {is_local} {host}");
        if expected == 403 {
            let text = std::str::from_utf8(response.body()).expect("a text");
            assert!(text.contains("--ui=all"), "it says what to do: {text}");
        }
    }
    check(Reach::Loopback, true, "localhost:2379", 200);
    check(Reach::Loopback, true, "[::1]:2379", 200);
    check(Reach::Loopback, true, "evil.example:2379", 403);
    check(Reach::Loopback, true, "", 403);
    check(Reach::Loopback, false, "127.0.0.1:2379", 403);
    check(Reach::Loopback, false, "10.0.0.1:2379", 403);
    check(Reach::All, false, "10.0.0.1:2379", 200);
    check(Reach::All, true, "member.example", 200);
    assert!(Ui::new(Reach::None).is_none());
}

#[test]
fn the_authority_of_http_2_counts_as_the_name() {
    let ui = Ui::new(Reach::Loopback).expect("it is on");
    for (uri, expected) in [("https://localhost:1/ui/", 200), ("https://evil.example/ui/", 403)] {
        let request = request(Method::GET, uri, &[("host", "localhost")]);
        assert_eq!(ui.respond(&request, true).status(), expected, "{uri}");
    }
}
