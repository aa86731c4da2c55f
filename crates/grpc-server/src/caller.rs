//! The caller of a request, as the engine knows it.

use std::sync::Arc;

use ferretcd_engine::{Caller, Identity};
use ferretcd_interceptors::{AuthInfo, Note};
use ferretcd_listen::Connection;
use ferretcd_tls::PeerIdentity;
use http::Extensions;
use tonic::Request;

use crate::deadline::Deadline;
use crate::describe::{About, Described};

/// The caller of a request, and its message. Layers that want to know of it are told.
pub(crate) fn split<T: About + Clone>(request: Request<T>) -> (Caller, T) {
    let (_, extensions, message) = request.into_parts();
    let caller = of(&extensions);
    if let Some(note) = Note::of(&extensions) {
        note.fill(Described(message.clone()));
    }
    (caller, message)
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
    use ferretcd_api_proto::etcdserverpb::StatusRequest;

    use super::*;

    /// On a connection with a certificate that has this common name, or without one.
    fn identity_of(common_name: Option<&str>, info: Option<AuthInfo>) -> Identity {
        let mut extensions = Extensions::new();
        if let Some(name) = common_name {
            let certificate = PeerIdentity { common_name: name.into(), ..PeerIdentity::default() };
            extensions.insert(Arc::new(certificate));
        }
        if let Some(info) = info {
            extensions.insert(info);
        }
        of(&extensions).identity
    }

    #[test]
    fn a_certificate_names_the_user_of_a_request_without_a_credential() {
        for info in [None, Some(AuthInfo::Anonymous)] {
            assert_eq!(identity_of(None, info.clone()), Identity::Anonymous);
            for name in ["alice", "root", ""] {
                assert_eq!(
                    identity_of(Some(name), info.clone()),
                    Identity::CommonName(name.into()),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn credential_counts_for_more_than_the_certificate() {
        for name in [None, Some("alice"), Some("root")] {
            let user = AuthInfo::User { name: "bob".into(), revision: 3 };
            let expected = Identity::User { name: "bob".into(), auth_revision: 3 };
            assert_eq!(identity_of(name, Some(user)), expected, "{name:?}");
            // Also one that is not valid: its request fails, and is not made as the user of the certificate.
            for token in ["abcdefghijklmnop.5", "garbage", ""] {
                let expected = Identity::Token(token.into());
                assert_eq!(identity_of(name, Some(AuthInfo::Token(token.into()))), expected, "{name:?}");
            }
        }
    }

    /// All clients of a gateway share its certificate.
    #[test]
    fn certificate_of_a_gateway_names_no_user() {
        for name in [None, Some("alice"), Some("root")] {
            assert_eq!(identity_of(name, Some(AuthInfo::Gateway)), Identity::Anonymous, "{name:?}");
        }
    }

    #[test]
    fn message_comes_with_its_caller() {
        let mut request = Request::new(StatusRequest {});
        request.extensions_mut().insert(AuthInfo::Token("abcdefghijklmnop.5".into()));
        let (caller, message) = split(request);
        assert_eq!(caller.identity, Identity::Token("abcdefghijklmnop.5".into()));
        assert_eq!(message, StatusRequest {});
        let (caller, _) = split(Request::new(StatusRequest {}));
        assert_eq!(caller, Caller::ANONYMOUS);
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
