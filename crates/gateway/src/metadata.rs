//! HTTP headers as the metadata of a call, and back, by the rules of grpc-gateway.

use data_encoding::{BASE64, BASE64_NOPAD};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::fault::Fault;

const TIMEOUT: &str = "grpc-timeout";
/// What clients put before the name of metadata of their own, and what stands before that of the service.
const PREFIX: &str = "grpc-metadata-";
/// What is put before the names of headers that every HTTP client sends.
const PERMANENT_PREFIX: &str = "grpcgateway-";
/// Those headers: the ones registered with IANA, as far as grpc-gateway has them.
const PERMANENT: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-language",
    "accept-ranges",
    "authorization",
    "cache-control",
    "content-type",
    "cookie",
    "date",
    "expect",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-schedule-tag-match",
    "if-unmodified-since",
    "max-forwards",
    "origin",
    "pragma",
    "referer",
    "user-agent",
    "via",
    "warning",
];

/// The headers of the call that a request with these headers becomes.
pub(crate) fn of_request(headers: &HeaderMap) -> Result<HeaderMap, Fault> {
    let mut call = HeaderMap::new();
    call.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    // A map of headers has a bound, and panics beyond it unless it is asked to try.
    let mut append = |name: HeaderName, value: HeaderValue| match call.try_append(name, value) {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::Headers),
    };
    for (name, value) in headers {
        if name == TIMEOUT {
            if let Some(timeout) = timeout(value)? {
                append(name.clone(), timeout)?;
            }
            continue;
        }
        if name == AUTHORIZATION {
            append(AUTHORIZATION, value.clone())?;
        }
        let Some(name) = name_in_call(name.as_str()) else { continue };
        if name.as_str().ends_with("-bin") {
            let value = binary(name.as_str(), value)?;
            append(name, value)?;
        } else if value.as_bytes().iter().all(|byte| (0x20..0x7f).contains(byte)) {
            append(name, value.clone())?;
        }
    }
    Ok(call)
}

fn name_in_call(name: &str) -> Option<HeaderName> {
    if let Some(name) = name.strip_prefix(PREFIX) {
        // The service's own headers are not a client's to set.
        return HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| !is_reserved(name));
    }
    let is_permanent = PERMANENT.binary_search(&name).is_ok();
    is_permanent.then(|| HeaderName::try_from(format!("{PERMANENT_PREFIX}{name}")).ok()).flatten()
}

/// Headers of the protocol, which clients of gRPC libraries cannot set as metadata either.
fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "content-type" | "te" | "connection" | "transfer-encoding" | "user-agent")
        || name.starts_with("grpc-")
}

/// Checks the base64 of a binary header, which is passed on as it is.
fn binary(name: &str, value: &HeaderValue) -> Result<HeaderValue, Fault> {
    let form = if value.len().is_multiple_of(4) { BASE64 } else { BASE64_NOPAD };
    match form.decode(value.as_bytes()) {
        Ok(_) => Ok(value.clone()),
        Err(error) => Err(Fault::Header(format!("invalid binary header {name}: {error}"))),
    }
}

/// The time-out of the call in the form that gRPC has; `None` for zero, which is none.
fn timeout(value: &HeaderValue) -> Result<Option<HeaderValue>, Fault> {
    const DIGITS_MAX: usize = 8;
    /// From the shortest to the longest.
    const UNITS: [(&str, u64); 6] = [("n", 1), ("u", 1000), ("m", 1000), ("S", 1000), ("M", 60), ("H", 60)];

    let text = String::from_utf8_lossy(value.as_bytes());
    if text.is_empty() {
        return Ok(None);
    }
    let malformed = || Fault::Header(format!("invalid grpc-timeout: {text}"));
    let unit = text.chars().next_back().ok_or_else(malformed)?;
    let digits = &text[..text.len() - unit.len_utf8()];
    let mut at = UNITS.iter().position(|(name, _)| name.starts_with(unit)).ok_or_else(malformed)?;
    let mut amount: i64 = digits.parse().map_err(|_| malformed())?;
    if amount == 0 {
        return Ok(None);
    }
    // What is over already is over in a nanosecond.
    if amount < 0 {
        (amount, at) = (1, 0);
    }
    let mut amount = amount.unsigned_abs();
    while amount.to_string().len() > DIGITS_MAX {
        let Some((_, factor)) = UNITS.get(at + 1) else { return Ok(None) };
        amount /= factor;
        at += 1;
    }
    HeaderValue::try_from(format!("{amount}{}", UNITS[at].0)).map(Some).map_err(|_| malformed())
}

/// Adds the metadata of a call's response to the headers of the HTTP response.
pub(crate) fn to_response(metadata: &HeaderMap, headers: &mut HeaderMap) {
    for (name, value) in metadata {
        // The protocol's own; grpc-go counts `content-type` as metadata.
        if name.as_str().starts_with("grpc-") || name == http::header::DATE {
            continue;
        }
        if let Ok(name) = HeaderName::try_from(format!("{PREFIX}{name}")) {
            headers.append(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], expected: &[(&str, &str)]) {
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::try_from(*name).expect("a name");
                (name, HeaderValue::from_str(value).expect("a value"))
            })
            .collect();
        let mut found = of_request(&map).expect("they are well-formed");
        assert_eq!(found.remove(CONTENT_TYPE).expect("it is a call of gRPC"), "application/grpc");
        let mut found: Vec<_> =
            found.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("text"))).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{headers:?}");
    }

    #[test]
    fn permanent_headers_are_in_order() {
        assert!(PERMANENT.is_sorted());
    }

    #[test]
    fn names_of_metadata() {
        check(&[("authorization", "a")], &[("authorization", "a"), ("grpcgateway-authorization", "a")]);
        check(&[("grpc-metadata-token", "a"), ("x-other", "b")], &[("token", "a")]);
        check(
            &[("accept", "*/*"), ("user-agent", "curl")],
            &[("grpcgateway-accept", "*/*"), ("grpcgateway-user-agent", "curl")],
        );
        check(
            &[("grpc-metadata-grpc-timeout", "1S"), ("grpc-metadata-te", "x"), ("grpc-metadata-", "x")],
            &[],
        );
        check(&[("grpc-metadata-a-bin", "YQ==")], &[("a-bin", "YQ==")]);
    }

    #[test]
    fn many_headers() {
        let value = HeaderValue::from_static("a");
        let accepts = (0..30_000).map(|_| (http::header::ACCEPT, value.clone()));
        assert_eq!(of_request(&accepts.collect()).expect("one name").len(), 30_001);
        // As many as a map takes; in the call there is one more.
        let mut headers = HeaderMap::new();
        let mut n_names = 0;
        while headers
            .try_insert(
                format!("grpc-metadata-{n_names}").parse::<HeaderName>().expect("a name"),
                value.clone(),
            )
            .is_ok()
        {
            n_names += 1;
        }
        assert_eq!(of_request(&headers).expect_err("they are too many"), Fault::Headers);
    }

    #[test]
    fn timeouts() {
        for (given, expected) in [
            ("5S", Some("5S")),
            ("+5S", Some("5S")),
            ("99999999m", Some("99999999m")),
            ("100000000m", Some("100000S")),
            ("123456789012n", Some("123456m")),
            ("-1S", Some("1n")),
            ("0S", None),
        ] {
            let expected: Vec<_> = expected.map(|text| ("grpc-timeout", text)).into_iter().collect();
            check(&[("grpc-timeout", given)], &expected);
        }
        for given in ["1x", "S", "1", "1.5S", "aS", "99999999999999999999S"] {
            let headers =
                HeaderMap::from_iter([(HeaderName::from_static(TIMEOUT), HeaderValue::from_static(given))]);
            let fault = of_request(&headers).expect_err("it is malformed");
            assert_eq!(fault.to_string(), format!("invalid grpc-timeout: {given}"));
        }
    }
}
