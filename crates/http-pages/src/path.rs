//! Paths, as Go's router reads them.

use std::borrow::Cow;

use axum::response::Response;
use http::request::Parts;
use http::{Method, Uri};

use crate::response;

/// What is wrong with a path, as the text of the response: a `%` without a number behind it.
pub(crate) fn fault(request: &Parts) -> Option<&'static str> {
    let is_number = |escaped: &str| {
        escaped.get(..2).is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    (!request.uri.path().split('%').skip(1).all(is_number)).then_some("400 Bad Request")
}

/// The response to a request whose path is not clean: the way to the one that is. Paths of CONNECT stay as they are, and
/// `*` leads nowhere.
pub(crate) fn redirect(request: &Parts) -> Option<Response> {
    if request.method == Method::CONNECT {
        return None;
    }
    let path = request.uri.path();
    if path == "*" {
        // The server as a whole, which OPTIONS alone may be about.
        return Some(response::bad_request(""));
    }
    let Cow::Owned(clean) = clean(path) else { return None };
    let escaped = escape(&clean);
    let query = request.uri.query().filter(|query| !query.is_empty());
    let target = query.map_or_else(|| escaped.clone(), |query| format!("{escaped}?{query}"));
    Some(response::redirect(&request.method, &target))
}

/// A path, taken for one that is not escaped yet. What browsers take for a slash would lead to another host.
fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&b) => escaped.push(char::from(b)),
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

/// The path without `.`, `..` and repeated slashes. A slash at the end stays.
fn clean(path: &str) -> Cow<'_, str> {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    let clean = format!("/{}{end}", segments.join("/"));
    if clean == path { Cow::Borrowed(path) } else { Cow::Owned(clean) }
}

/// The path as it is called today: clients of etcd 3.3 say `/v3beta/` for `/v3/`.
pub(crate) fn renamed(uri: Uri) -> Uri {
    let rest = uri.path_and_query().and_then(|path| path.as_str().strip_prefix("/v3beta/"));
    match rest.map(|rest| format!("/v3/{rest}")) {
        Some(path) => with_path(uri, &path),
        None => uri,
    }
}

/// The same with what stands for a letter, a digit or one of `-._~` spelled out. Routes consist of nothing else, so an
/// escaped slash separates no segments.
pub(crate) fn unescape(uri: Uri) -> Uri {
    if !uri.path().contains('%') {
        return uri;
    }
    let mut path = String::with_capacity(uri.path().len());
    let mut rest = uri.path();
    while let Some((before, escaped)) = rest.split_once('%') {
        path.push_str(before);
        match escaped.get(..2).and_then(unreserved) {
            Some(letter) => {
                path.push(letter);
                rest = &escaped[2..];
            }
            None => {
                path.push('%');
                rest = escaped;
            }
        }
    }
    path.push_str(rest);
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // Always whole: letters of a path took the place of their escapes.
    with_path(uri, &format!("{path}{query}"))
}

/// The same with another path and query; unchanged if that is none.
fn with_path(uri: Uri, path_and_query: &str) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path_and_query.parse().ok();
    Uri::from_parts(parts).unwrap_or(uri)
}

/// The unreserved character (RFC 3986, 2.3) with this code.
fn unreserved(hex: &str) -> Option<char> {
    let byte = u8::from_str_radix(hex, 16).ok()?;
    (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)).then_some(char::from(byte))
}

#[cfg(test)]
mod tests {
    use http::header::LOCATION;
    use http::{Request, StatusCode};

    use super::*;

    #[test]
    fn paths_are_cleaned_as_in_go() {
        let check = |target: &str, expected: Option<&str>| {
            let (request, ()) = Request::get(target).body(()).expect("a well-formed request").into_parts();
            let response = redirect(&request);
            let location = response.as_ref().map(|response| {
                assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT, "{target}");
                response.headers()[LOCATION].to_str().expect("a text")
            });
            assert_eq!(location, expected, "{target}");
        };
        for clean in
            ["/", "/health", "/health/", "/health?x=//", "/a/b/", "/%2e%2e/health", "/.a/b..", "/a%2f/b"]
        {
            check(clean, None);
        }
        check("//health", Some("/health"));
        check("/a/../health?serializable=true", Some("/health?serializable=true"));
        check("/./metrics", Some("/metrics"));
        check("/health/.", Some("/health"));
        check("/health/..", Some("/"));
        check("/../..", Some("/"));
        check("//", Some("/"));
        check("//?x", Some("/?x"));
        check("/a//b/", Some("/a/b/"));
        check("/a/b/../../version?", Some("/version"));
        check("//%68ealth?a=b&c='d'", Some("/%2568ealth?a=b&c='d'"));
        check("/./\\a.example", Some("/%5Ca.example"));
        check("//a!b[c]/\u{e4}", Some("/a%21b%5Bc%5D/%C3%A4"));
        let (everything, ()) = Request::get("*").body(()).expect("a well-formed request").into_parts();
        assert_eq!(redirect(&everything).map(|response| response.status()), Some(StatusCode::BAD_REQUEST));
        let (connect, ()) =
            Request::connect("http://a//health").body(()).expect("a well-formed request").into_parts();
        assert!(redirect(&connect).is_none());
    }

    #[test]
    fn escapes_are_numbers() {
        let check = |target: &str, is_fine: bool| {
            let (request, ()) = Request::get(target).body(()).expect("a well-formed request").into_parts();
            assert_eq!(fault(&request).is_none(), is_fine, "{target}");
        };
        for fine in ["/", "/%20", "/a%2fb%FF", "/a?%zz"] {
            check(fine, true);
        }
        for wrong in ["/%", "/a%2", "/%zz", "/%+6", "/%%20", "/%2 "] {
            check(&wrong.replace(' ', "/"), false);
        }
    }

    #[test]
    fn letters_are_unescaped() {
        let check = |target: &str, expected: &str| {
            assert_eq!(unescape(target.parse().expect("a URI")), expected, "{target}");
        };
        check("/health?exclude=%41", "/health?exclude=%41");
        check("/%68ealth?exclude=%41", "/health?exclude=%41");
        check("/%6civez/serializable%5fread", "/livez/serializable_read");
        check("http://a:1/%68ealth", "http://a:1/health");
        for reserved in ["/livez%2fserializable_read", "/health%3fx", "/%c3%a9", "/%00"] {
            check(reserved, reserved);
        }
    }
}
