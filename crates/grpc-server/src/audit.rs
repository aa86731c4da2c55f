//! The audit log of the services.

use std::sync::Arc;

use bytes::Bytes;
use ferretcd_api_proto::push_quoted;
use ferretcd_engine::Auth;
use ferretcd_interceptors::{AuditConfig, AuditLayer, AuditSink, AuditUsers};
use ferretcd_listen::Connection;
use ferretcd_tls::PeerIdentity;
use http::Extensions;

use crate::rpcs;

/// The layer that writes the lines.
pub(crate) fn layer(auth: Auth, sink: Arc<dyn AuditSink>) -> AuditLayer {
    let config =
        AuditConfig { rpcs: rpcs::RPCS, remote: Connection::remote, certificate, quote: push_quoted };
    AuditLayer::new(config, Arc::new(Users(auth)), sink)
}

fn certificate(extensions: &Extensions) -> Option<Arc<str>> {
    extensions.get::<Arc<PeerIdentity>>().map(|identity| Arc::clone(&identity.common_name))
}

struct Users(Auth);

impl AuditUsers for Users {
    fn user(&self, token: &Bytes) -> Option<Arc<str>> {
        self.0.user_of(token)
    }
}
