//! What a request speaks.

use http::{Request, Version, header};

/// The content type of gRPC, which a codec's name may follow.
const CONTENT_TYPE: &[u8] = b"application/grpc";

/// The part of the server that a request is for. It is named here, once, before anything else of the request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A gRPC call.
    Grpc,
    /// A request for one of the plain pages.
    Pages,
}

impl Protocol {
    /// The version of HTTP decides before any header does. A web page can make a browser send any content type to any path
    /// over HTTP/1.1, under a name that the page's owner points here, but not HTTP/2 in the clear: what comes over
    /// HTTP/1.1 never reaches a service.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
        let is_grpc = content_type
            .and_then(|content_type| content_type.strip_prefix(CONTENT_TYPE))
            .is_some_and(|codec| matches!(codec.first(), None | Some(b'+' | b';')));
        if request.version() == Version::HTTP_2 && is_grpc { Self::Grpc } else { Self::Pages }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: Version, content_type: Option<&str>, expected: Protocol) {
        let mut request = Request::post("/etcdserverpb.KV/Put").version(version);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request.body(()).expect("a well-formed request");
        assert_eq!(Protocol::of(&request), expected, "{version:?} {content_type:?}");
    }

    #[test]
    fn grpc_is_http_2_with_its_content_type() {
        for grpc in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"] {
            check(Version::HTTP_2, Some(grpc), Protocol::Grpc);
            for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11] {
                check(version, Some(grpc), Protocol::Pages);
            }
        }
        for other in ["", "application/grpc-web", "application/grpcx", "application/json", "text/plain"] {
            check(Version::HTTP_2, Some(other), Protocol::Pages);
        }
        check(Version::HTTP_2, None, Protocol::Pages);
    }
}
