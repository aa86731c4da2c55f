use std::borrow::Cow;

use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::config::Config;
use crate::response;

/// Which hosts and origins may use the pages.
#[derive(Debug)]
pub(crate) struct Access {
    /// `None` if requests may name any host.
    hosts: Option<Vec<String>>,
    /// `None` if scripts of any origin may read the responses.
    origins: Option<Vec<String>>,
}

impl Access {
    pub(crate) fn new(config: &Config, check_host: bool) -> Access {
        let hosts = if check_host { restriction(&config.host_whitelist) } else { None };
        Access { hosts, origins: restriction(&config.cors) }
    }

    fn allows_host(&self, host: &str) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|allowed| allowed == host))
    }

    /// The value of `Access-Control-Allow-Origin`; `None` if the request's origin is not allowed.
    pub(crate) fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        match &self.origins {
            None => Some(HeaderValue::from_static("*")),
            Some(origins) => {
                let origin = headers.get(ORIGIN)?;
                origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
            }
        }
    }

    /// The response to a request that names a host which is not on the list.
    pub(crate) fn rejection(&self, request: &Parts) -> Option<Response> {
        let host = requested_host(request);
        if self.allows_host(&host) {
            return None;
        }
        tracing::warn!(%host, "rejecting HTTP request to prevent DNS rebinding attacks");
        Some(misdirected(&host))
    }
}

fn restriction(list: &[String]) -> Option<Vec<String>> {
    let open = list.is_empty() || list.iter().any(|entry| entry == "*");
    (!open).then(|| list.to_vec())
}

/// Lets scripts of `origin` read a response.
pub(crate) fn add_cors(headers: &mut HeaderMap, origin: HeaderValue) {
    let methods = HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE");
    let allowed = HeaderValue::from_static("accept, content-type, authorization");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
}

fn misdirected(host: &str) -> Response {
    let reason = format!(
        "etcd does not answer for the host {host:?}. If it is meant to, add it to --host-whitelist. \
         Other hosts are refused on connections without TLS so that a web site cannot reach this server \
         by pointing its own name here (DNS rebinding, CVE-2018-5702)."
    );
    response::error(StatusCode::MISDIRECTED_REQUEST, &reason)
}

/// The host a request names, without the port: of HTTP/2's authority or of the header `Host`.
fn requested_host(request: &Parts) -> Cow<'_, str> {
    let named = match request.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => request.headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default(),
    };
    match String::from_utf8_lossy(named) {
        Cow::Borrowed(named) => Cow::Borrowed(without_port(named)),
        Cow::Owned(named) => Cow::Owned(without_port(&named).to_owned()),
    }
}

/// Brackets go together with the port; without a port, and where it is not clear what is one, everything stays.
fn without_port(host: &str) -> &str {
    let has_none = |text: &str, letters: &[char]| !text.contains(letters);
    let Some((name, _)) = host.rsplit_once(':').filter(|(_, port)| has_none(port, &['[', ']'])) else {
        return host;
    };
    match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) if has_none(address, &['[', ']']) => address,
        None if has_none(name, &[':', '[', ']']) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_cut_off() {
        fn check(host: &str, expected: &str) {
            assert_eq!(without_port(host), expected, "{host}");
        }
        check("example.com:2379", "example.com");
        check("example.com", "example.com");
        check("127.0.0.1:2379", "127.0.0.1");
        check("[::1]:2379", "::1");
        check("[::1]", "[::1]");
        check("::1", "::1");
        check("[a]:1", "a");
        for unclear in ["", "a:1]", "[a]b:1", "[a]]:1", "a[:1", "[:1", "[a:1", "a:b:1"] {
            check(unclear, unclear);
        }
    }
}
