//! Messages and streams of them.

use std::sync::Arc;

use ferretcd_base::MemberId;
use http::{Method, Request, Response, StatusCode, header::HeaderValue};
use hyper::body::Incoming;
use tracing::warn;

use super::request::{add_sender, expect_method, whole_body};
use crate::codec::{MESSAGE_BYTES_MAX, decode};
use crate::headers::{self, RAFT_TO, SERVER_VERSION};
use crate::local_context::LocalContext;
use crate::peer::StreamKind;
use crate::peer_table::PeerTable;
use crate::rejection::Rejection;
use crate::response::{HttpResponse, ResponseBody, no_content};
use crate::stream_writer::StreamWriter;

/// `/raft`: one message.
pub(super) async fn post(
    local: &Arc<LocalContext>,
    peers: &PeerTable,
    request: Request<Incoming>,
) -> Result<HttpResponse, Rejection> {
    expect_method(request.method(), &Method::POST)?;
    headers::check(request.headers(), local.id, local.cluster)?;
    add_sender(peers, request.headers());
    let sender = headers::sender(request.headers()).map(|id| local.counted(id));
    let unreadable = |text: &str| {
        warn!("local-member-id" = %local.id, error = text, "failed to read Raft message");
        local.metrics.not_received(sender);
        Rejection::text(StatusCode::BAD_REQUEST, text)
    };
    let bytes_max = usize::try_from(MESSAGE_BYTES_MAX).unwrap_or(usize::MAX);
    let body = whole_body(request.into_body(), bytes_max).await;
    let body = body.map_err(|_| unreadable("error reading raft message"))?;
    let bytes = body.len() as u64;
    let message = decode(body).map_err(|_| unreadable("error unmarshalling raft message"))?;
    local.metrics.received(local.counted(MemberId(message.from())), bytes);
    local.deliver(message)?;
    Ok(no_content())
}

/// `/raft/stream/<kind>/<reader>`: the messages to a peer, for as long as the connection lasts.
pub(super) fn stream(
    local: &LocalContext,
    peers: &PeerTable,
    request: &Request<Incoming>,
) -> Result<HttpResponse, Rejection> {
    expect_method(request.method(), &Method::GET)?;
    headers::check(request.headers(), local.id, local.cluster)?;
    let (kind, reader) = parse(request.uri().path())?;
    if local.is_removed(reader) {
        warn!(
            "local-member-id" = %local.id,
            "remote-peer-id-from" = %reader,
            "rejected stream from remote peer because it was removed"
        );
        return Err(Rejection::text(StatusCode::GONE, "removed member"));
    }
    let to = headers::text(request.headers(), &RAFT_TO).unwrap_or_default();
    let Some(peer) = peers.member(reader) else {
        peers.add_remote(reader, &headers::peer_urls(request.headers()));
        warn!(
            "local-member-id" = %local.id,
            "remote-peer-id-from" = %reader,
            "cluster-id" = %local.cluster,
            "failed to find remote peer in cluster"
        );
        return Err(Rejection::text(StatusCode::NOT_FOUND, "error sender not found"));
    };
    if to != local.id.to_string() {
        warn!(
            "local-member-id" = %local.id,
            "remote-peer-id-header" = to,
            "remote-peer-id-from" = %reader,
            "cluster-id" = %local.cluster,
            "ignored streaming request; ID mismatch"
        );
        return Err(Rejection::Precondition("to field mismatch"));
    }
    let mut response = Response::new(ResponseBody::stream(StreamWriter::begin(peer, kind)));
    response.headers_mut().insert(SERVER_VERSION, HeaderValue::from_static(ferretcd_api_proto::API_VERSION));
    Ok(response)
}

fn parse(path: &str) -> Result<(StreamKind, MemberId), Rejection> {
    let invalid = |text| Rejection::text(StatusCode::NOT_FOUND, text);
    let rest = path.strip_prefix("/raft/stream/").unwrap_or_default();
    let (kind, reader) = rest.split_once('/').ok_or_else(|| invalid("invalid path"))?;
    let kind = [StreamKind::Appends, StreamKind::Messages].into_iter().find(|known| known.segment() == kind);
    let kind = kind.ok_or_else(|| invalid("invalid path"))?;
    let reader = u64::from_str_radix(reader, 16).map_err(|_| invalid("invalid from"))?;
    Ok((kind, MemberId(reader)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_and_reader_are_read_from_the_path() {
        let check = |path: &str, expected: Result<(StreamKind, u64), &str>| {
            let parsed = parse(path).map(|(kind, reader)| (kind, reader.0));
            let expected = expected.map_err(|text| Rejection::text(StatusCode::NOT_FOUND, text));
            assert_eq!(parsed, expected, "{path}");
        };
        check("/raft/stream/msgapp/1f", Ok((StreamKind::Appends, 0x1f)));
        check("/raft/stream/message/ffffffffffffffff", Ok((StreamKind::Messages, u64::MAX)));
        check("/raft/stream/message/xyz", Err("invalid from"));
        check("/raft/stream/message/", Err("invalid from"));
        check("/raft/stream/other/1", Err("invalid path"));
        check("/raft/stream/", Err("invalid path"));
    }
}
