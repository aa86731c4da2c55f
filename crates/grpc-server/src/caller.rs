//! The caller of a request, as the engine knows it.

use std::sync::Arc;
use std::time::Instant;

use ferretcd_engine::{Caller, Identity};
use ferretcd_interceptors::AuthInfo;
use ferretcd_listen::Connection;
use ferretcd_tls::PeerIdentity;
use http::{Extensions, HeaderMap};
use tonic::Request;

use crate::deadline;

/// The caller of a request, and its message.
pub(crate) fn split<T>(request: Request<T>) -> (Caller, T) {
    let (metadata, extensions, message) = request.into_parts();
    (of(metadata.as_ref(), &extensions), message)
}

/// The caller of a request with this head: from the credential that the interceptors have checked, else the
/// certificate of the connection, and from where the connection comes.
pub(crate) fn of(headers: &HeaderMap, extensions: &Extensions) -> Caller {
    let timeout = deadline::timeout(headers);
    Caller {
        identity: identity(extensions),
        address: Connection::remote(extensions),
        deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
    }
}

fn identity(extensions: &Extensions) -> Identity {
    if let AuthInfo::User { name, revision } = AuthInfo::of(extensions) {
        return Identity::User { name: Arc::clone(name), auth_revision: *revision };
    }
    match extensions.get::<Arc<PeerIdentity>>() {
        Some(certificate) if !certificate.common_name.is_empty() => {
            Identity::CommonName(certificate.common_name.as_str().into())
        }
        _ => Identity::Anonymous,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_counts_for_more_than_the_certificate() {
        let mut extensions = Extensions::new();
        let identity = |extensions: &Extensions| of(&HeaderMap::new(), extensions).identity;
        assert_eq!(identity(&extensions), Identity::Anonymous);
        let certificate = PeerIdentity { common_name: "alice".to_owned(), ..PeerIdentity::default() };
        extensions.insert(Arc::new(certificate));
        assert_eq!(identity(&extensions), Identity::CommonName("alice".into()));
        extensions.insert(AuthInfo::User { name: "root".into(), revision: 3 });
        assert_eq!(identity(&extensions), Identity::User { name: "root".into(), auth_revision: 3 });
    }

    #[test]
    fn deadline_comes_from_the_head() {
        let mut headers = HeaderMap::new();
        assert_eq!(of(&headers, &Extensions::new()), Caller::ANONYMOUS);
        headers.insert("grpc-timeout", "5S".parse().expect("a value"));
        let deadline = of(&headers, &Extensions::new()).deadline.expect("the head names one");
        assert!(deadline > Instant::now());
    }
}
