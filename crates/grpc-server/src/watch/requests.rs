//! Decoding the requests of a watch stream.

use bytes::Bytes;
use ferretcd_api_proto::errors::CancelReason;
use ferretcd_api_proto::etcdserverpb::watch_create_request::FilterType;
use ferretcd_api_proto::etcdserverpb::watch_request::RequestUnion;
use ferretcd_api_proto::etcdserverpb::{WatchCreateRequest, WatchRequest};
use ferretcd_base::KeyRange;
use ferretcd_watch::{WatchId, WatchSpec};

/// A decoded request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Create(WatchSpec),
    /// A creation that is rejected.
    Rejected(CancelReason),
    Cancel(WatchId),
    Progress,
    /// An empty request, or one of a later version of the protocol.
    Ignored,
}

impl From<WatchRequest> for Command {
    fn from(request: WatchRequest) -> Self {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => Self::create(create),
            Some(RequestUnion::CancelRequest(cancel)) => Self::Cancel(cancel.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => Self::Progress,
            None => Self::Ignored,
        }
    }
}

impl Command {
    /// The start is checked before the caller's right to read the range would be, and the range last, by the
    /// hub.
    fn create(request: WatchCreateRequest) -> Self {
        let WatchCreateRequest { key, range_end, start_revision, .. } = request;
        if start_revision < 0 {
            return Self::Rejected(CancelReason::Compacted);
        }
        let key = if key.is_empty() { Bytes::from_static(&[0]) } else { key };
        let filters = |filter: FilterType| request.filters.contains(&filter.into());
        Self::Create(WatchSpec {
            id: request.watch_id,
            range: KeyRange::from_wire(key, range_end),
            start: start_revision,
            no_put: filters(FilterType::Noput),
            no_delete: filters(FilterType::Nodelete),
            prev_kv: request.prev_kv,
            progress_notify: request.progress_notify,
            fragment: request.fragment,
        })
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::etcdserverpb::{WatchCancelRequest, WatchProgressRequest};

    use super::*;

    fn check(request: RequestUnion, expected: Command) {
        assert_eq!(Command::from(WatchRequest { request_union: Some(request) }), expected);
    }

    fn create(request: WatchCreateRequest, expected: WatchSpec) {
        check(RequestUnion::CreateRequest(request), Command::Create(expected));
    }

    #[test]
    fn requests_are_decoded() {
        check(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: -7 }), Command::Cancel(-7));
        check(RequestUnion::ProgressRequest(WatchProgressRequest {}), Command::Progress);
        assert_eq!(Command::from(WatchRequest::default()), Command::Ignored);
        let negative = WatchCreateRequest {
            start_revision: -1,
            key: "b".into(),
            range_end: "a".into(),
            ..WatchCreateRequest::default()
        };
        check(RequestUnion::CreateRequest(negative), Command::Rejected(CancelReason::Compacted));
    }

    #[test]
    fn creations_have_etcds_conventions() {
        let all = WatchCreateRequest {
            range_end: vec![0].into(),
            start_revision: 5,
            // Unknown ones among them.
            filters: vec![1, 9, 0],
            prev_kv: true,
            progress_notify: true,
            fragment: true,
            watch_id: 3,
            ..WatchCreateRequest::default()
        };
        let spec = WatchSpec {
            id: 3,
            range: KeyRange::all(),
            start: 5,
            no_put: true,
            no_delete: true,
            prev_kv: true,
            progress_notify: true,
            fragment: true,
        };
        create(all, spec);
        let one = WatchCreateRequest { key: "a".into(), filters: vec![1], ..WatchCreateRequest::default() };
        create(one, WatchSpec { no_delete: true, ..WatchSpec::new(KeyRange::Key("a".into())) });
    }
}
