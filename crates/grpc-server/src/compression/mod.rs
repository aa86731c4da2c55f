//! Calls whose messages are compressed with gzip.
//!
//! It happens around the methods: what is inside, the quota and the metrics among it, sees messages as they are. A client
//! that names gzip as the encoding of its requests, compressed or not, gets compressed responses, as from grpc-go. Calls
//! that say nothing of it cost one look at their headers.

mod request;
mod response;

use http::{HeaderMap, HeaderValue};

pub(crate) use request::Decompressed;
pub(crate) use response::compress;

const HEADER: &str = "grpc-encoding";

/// How a client sends messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are.
    Identity,
    /// Compressed, if they are marked so.
    Gzip,
    /// In a form that is not known here.
    Unknown(HeaderValue),
}

impl Encoding {
    /// That of a request with these headers, which do not name it any more then: methods get messages as they are. Of several
    /// names the last counts.
    pub(crate) fn take(headers: &mut HeaderMap) -> Self {
        let Some(name) = headers.get_all(HEADER).iter().next_back().cloned() else { return Self::Identity };
        headers.remove(HEADER);
        match name.as_bytes() {
            b"" | b"identity" => Self::Identity,
            b"gzip" => Self::Gzip,
            _ => Self::Unknown(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&'static str], expected: Encoding) {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(HEADER, HeaderValue::from_static(name));
        }
        assert_eq!(Encoding::take(&mut headers), expected, "{names:?}");
        assert!(headers.is_empty());
    }

    #[test]
    fn the_last_name_counts() {
        check(&[], Encoding::Identity);
        check(&[""], Encoding::Identity);
        check(&["identity"], Encoding::Identity);
        check(&["gzip"], Encoding::Gzip);
        check(&["deflate", "gzip"], Encoding::Gzip);
        check(&["gzip", "GZIP"], Encoding::Unknown(HeaderValue::from_static("GZIP")));
    }
}
