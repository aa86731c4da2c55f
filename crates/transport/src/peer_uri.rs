//! The URLs of peers, as the HTTP library takes them.
//!
//! It has no URL without a host, so the path of a Unix socket stands in for the host, as hexadecimal digits: `unix:///a` is
//! `unix://2f61`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use ferretcd_membership::Url;
use http::Uri;

/// The URL with this text, if it is one.
pub(crate) fn peer_uri(text: &str) -> Option<Uri> {
    match Url::parse(text) {
        Ok(url) if url.scheme().is_unix() => {
            let digits: String = url.host().bytes().map(|byte| format!("{byte:02x}")).collect();
            format!("{}://{digits}", url.scheme()).parse().ok()
        }
        _ => text.parse().ok().filter(|uri: &Uri| uri.host().is_some()),
    }
}

/// The path of the Unix socket that a URL of [`Connect`](crate::Connect) stands for, if it does.
pub fn socket_path(uri: &Uri) -> Option<PathBuf> {
    let digits = matches!(uri.scheme_str(), Some("unix" | "unixs")).then(|| uri.host()).flatten()?;
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    Some(OsString::from_vec(bytes?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_kept() {
        let check = |text: &str, expected: Option<&str>| {
            let uri = peer_uri(text).expect("a URL");
            assert_eq!(socket_path(&uri), expected.map(PathBuf::from), "{text}");
        };
        check("unix:///run/a%20b", Some("/run/a b"));
        check("unixs:///Run/\u{e9}", Some("/Run/\u{e9}"));
        check("unix://localhost:1", Some("localhost:1"));
        check("http://localhost:1", None);
        check("https://2f61:1", None);
        for text in ["unix://", "no url", "http:///x"] {
            assert_eq!(peer_uri(text), None, "{text}");
        }
    }
}
