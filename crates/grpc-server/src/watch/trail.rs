//! Lines of the audit log about the watches of one stream.

use std::collections::VecDeque;

use ferretcd_api_proto::etcdserverpb::WatchRequest;
use ferretcd_api_proto::etcdserverpb::watch_request::RequestUnion;
use ferretcd_interceptors::AuditTrail;
use ferretcd_watch::Delivery;
use tonic::Code;

use crate::describe::Described;

/// Requests of a stream whose calls are audited.
#[derive(Debug)]
pub(super) struct WatchTrail {
    trail: AuditTrail,
    /// Creations whose response is to come; responses have their order.
    creating: VecDeque<WatchRequest>,
}

impl WatchTrail {
    pub(super) fn new(trail: AuditTrail) -> Self {
        Self { trail, creating: VecDeque::new() }
    }

    /// A request has come. Its line is written now if it has no outcome.
    pub(super) fn requested(&mut self, request: &WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(_)) => self.creating.push_back(request.clone()),
            Some(RequestUnion::CancelRequest(_)) => {
                self.trail.write(&Described(request.clone()), Code::Ok, |_| {});
            }
            Some(RequestUnion::ProgressRequest(_)) | None => {}
        }
    }

    /// The last creation was rejected before the hub saw it.
    pub(super) fn rejected(&mut self, code: Code) {
        if let Some(request) = self.creating.pop_back() {
            self.trail.write(&Described(request), code, |_| {});
        }
    }

    pub(super) fn delivered(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            let (code, id) = match delivery {
                Delivery::Created { id, .. } => (Code::Ok, Some(*id)),
                Delivery::Rejected { .. } => (Code::InvalidArgument, None),
                _ => continue,
            };
            let Some(request) = self.creating.pop_front() else { continue };
            self.trail.write(&Described(request), code, |subject| {
                if let Some(id) = id {
                    subject.number("id", id);
                }
            });
        }
    }
}

/// The client has gone before these had a response.
impl Drop for WatchTrail {
    fn drop(&mut self) {
        for request in std::mem::take(&mut self.creating) {
            self.trail.write(&Described(request), Code::Cancelled, |_| {});
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use ferretcd_api_proto::etcdserverpb::WatchCreateRequest;
    use ferretcd_interceptors::{AuditConfig, AuditLayer, AuditSink, AuditUsers};
    use http::{Request, Response};
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::rpcs;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl AuditSink for Lines {
        fn write(&self, members: &str) {
            self.0.lock().expect("no test panics with it").push(members.to_owned());
        }
    }

    struct NoUsers;

    impl AuditUsers for NoUsers {
        fn user(&self, _: &Bytes) -> Option<Arc<str>> {
            None
        }
    }

    #[tokio::test]
    async fn creations_without_a_response_are_audited() {
        let config = AuditConfig {
            rpcs: rpcs::RPCS,
            remote: |_| None,
            certificate: |_| None,
            quote: ferretcd_api_proto::push_quoted,
        };
        let lines = Arc::new(Lines::default());
        let layer = AuditLayer::new(config, Arc::new(NoUsers), Arc::clone(&lines) as Arc<dyn AuditSink>);
        let service = layer.layer(service_fn(async |request: Request<()>| {
            let mut trail = WatchTrail::new(AuditTrail::of(request.extensions()).expect("calls are audited"));
            let create = WatchCreateRequest { key: "k".into(), ..WatchCreateRequest::default() };
            trail.requested(&WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) });
            Ok::<_, Infallible>(Response::new(String::new()))
        }));
        let request = Request::builder().uri("/etcdserverpb.Watch/Watch").body(()).expect("a request");
        service.oneshot(request).await.expect("it does not fail");
        let expected = concat!(
            r#""user":"","remote":"@","method":"/etcdserverpb.Watch/Watch","op":"create","key":"k","#,
            r#""code":"Canceled""#
        );
        assert_eq!(*lines.0.lock().expect("no test panics with it"), [expected]);
    }
}
