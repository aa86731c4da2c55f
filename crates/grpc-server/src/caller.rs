//! The caller of a request, as the engine knows it.

use std::sync::Arc;

use ferretcd_engine::{Caller, Identity};
use ferretcd_interceptors::AuthInfo;
use ferretcd_listen::Connection;
use ferretcd_tls::PeerIdentity;
use http::Extensions;
use tonic::Request;

use crate::deadline::Deadline;

/// The caller of a request, and its message.
pub(crate) fn split<T>(request: Request<T>) -> (Caller, T) {
    let (_, extensions, message) = request.into_parts();
    (of(&extensions), message)
}

/// The caller of a request with these extensions: from the credential that the interceptors have checked, else the
/// certificate of the connection; and from where the connection comes, and the deadline in force.
pub(crate) fn of(extensions: &Extensions) -> Caller {
    Caller {
        identity: identity(extensions),
        address: Connection::remote(extensions),
        deadline: extensions.get::<Deadline>().map(|Deadline(deadline)| deadline.into_std()),
    }
}

fn identity(extensions: &Extensions) -> Identity {
    match AuthInfo::of(extensions) {
        AuthInfo::User { name, revision } => {
            return Identity::User { name: Arc::clone(name), auth_revision: *revision };
        }
        AuthInfo::Token(token) => return Identity::Token(token.clone()),
        AuthInfo::Gateway => return Identity::Anonymous,
        AuthInfo::Anonymous => {}
    }
    match extensions.get::<Arc<PeerIdentity>>() {
        Some(certificate) => Identity::CommonName(Arc::clone(&certificate.common_name)),
        None => Identity::Anonymous,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_counts_for_more_than_the_certificate() {
        let mut extensions = Extensions::new();
        let identity = |extensions: &Extensions| of(extensions).identity;
        assert_eq!(identity(&extensions), Identity::Anonymous);
        let certificate = PeerIdentity { common_name: "alice".into(), ..PeerIdentity::default() };
        extensions.insert(Arc::new(certificate));
        assert_eq!(identity(&extensions), Identity::CommonName("alice".into()));
        extensions.insert(AuthInfo::User { name: "root".into(), revision: 3 });
        assert_eq!(identity(&extensions), Identity::User { name: "root".into(), auth_revision: 3 });
    }

    #[test]
    fn deadline_is_the_one_in_force() {
        let mut extensions = Extensions::new();
        assert_eq!(of(&extensions), Caller::ANONYMOUS);
        let deadline = tokio::time::Instant::now();
        extensions.insert(Deadline(deadline));
        assert_eq!(of(&extensions).deadline, Some(deadline.into_std()));
    }
}
