//! Messages from words.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::watch_create_request::FilterType;
use ferretcd_api_proto::etcdserverpb::watch_request::RequestUnion;

use super::super::words::{self, Base, number, option};

/// `watch RANGE ..`, `cancel ID`, `progress` or `nothing`.
pub(super) fn any(words: &[&str], base: Base) -> Option<RequestUnion> {
    match words {
        ["watch", words @ ..] => Some(RequestUnion::CreateRequest(create(words, base))),
        ["cancel", id] => Some(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: number(id) })),
        ["progress"] => Some(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})),
        ["nothing"] => None,
        other => panic!("{other:?} is not a request of a watch stream"),
    }
}

fn create(words: &[&str], base: Base) -> pb::WatchCreateRequest {
    let (key, range_end) = words::range(words[0]);
    let mut create = pb::WatchCreateRequest { key, range_end, ..Default::default() };
    for (name, value) in words[1..].iter().map(|word| option(word)) {
        match name {
            "id" => create.watch_id = number(value),
            "rev" => create.start_revision = base.parse(value),
            "noput" => create.filters.push(FilterType::Noput.into()),
            "nodelete" => create.filters.push(FilterType::Nodelete.into()),
            "filter" => create.filters.push(number(value)),
            "prev_kv" => create.prev_kv = true,
            "progress" => create.progress_notify = true,
            "fragment" => create.fragment = true,
            _ => panic!("watch has no option {name}"),
        }
    }
    create
}
