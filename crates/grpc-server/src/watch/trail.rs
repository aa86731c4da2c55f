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
