//! Which calls are admitted, by the head of a request and the member's state.

use bytes::Bytes;
use ferretcd_api_proto::errors::Error;
use ferretcd_engine::MemberInfo;
use ferretcd_interceptors::{AuthInfo, Authenticate, Metadata};
use http::request::Parts;
use tonic::Status;

use crate::rpcs;
use crate::status::status;

/// The checks that etcd makes before it looks at a message, in its order.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) member: MemberInfo,
}

impl Authenticate for Admission {
    fn check(&self, parts: &Parts) -> Result<AuthInfo, Status> {
        // A learner serves serializable ranges; only the handler sees whether a range is one.
        let is_for_learners = matches!(parts.uri.path(), rpcs::RANGE | rpcs::STATUS | rpcs::SNAPSHOT);
        if !is_for_learners && self.member.is_learner() {
            return Err(status(Error::NotSupportedForLearner));
        }
        let metadata = Metadata::new(&parts.headers);
        metadata.client_api_version().map_err(|_| status(Error::InvalidClientAPIVersion))?;
        if metadata.requires_leader() && self.member.status().leader.is_none() {
            return Err(status(Error::NoLeader));
        }
        // Looked at where the caller's identity is first needed: errors of form and quota win over a wrong one.
        Ok(match metadata.token() {
            Some(token) => AuthInfo::Token(Bytes::copy_from_slice(token)),
            None if metadata.is_through_gateway() => AuthInfo::Gateway,
            None => AuthInfo::Anonymous,
        })
    }
}
